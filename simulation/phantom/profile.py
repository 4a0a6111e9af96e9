"""What a phantom cohort is made of: the `[phantom]` section of a configuration.

Defaults are calibrated to published cohorts of brain metastases. Lesion volumes: median 39.7 mm3 with 41 %
under 27 mm3 and 19 % over 275 mm3 (BraTS-METS 2025, 10,119 enhancing lesions), which a lognormal of sigma 2.109
and a hundredth of giants reproduce. Lesions per exam: 3.5 % none, 21 % one, mean 7.8 (same source), which a
zero-truncated negative binomial of dispersion 0.30 and mu 4.59 reproduces.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.plan import Count, Fraction, Name, NotNegative, Positive, Sequence
from common.schema import Frozen

Primary = Literal["lung", "breast", "melanoma", "gastrointestinal", "renal", "unknown"]
Spacing = tuple[Positive, Positive, Positive]
MAX_VOXELS_PER_AXIS = 512


class SiteProfile(Frozen):
    """One hospital: its patients, its scanner and its annotators.

    Attributes:
        name: the site's name, `Partition_ID` in sites.csv.
        patients: how many.
        exams_per_patient: mean number of exams; the second and later ones follow the same lesions.
        lesion_count_mu, lesion_count_dispersion: of the zero-truncated negative binomial of lesions per exam;
            4.59 and 0.30 give a mean of 8.1.
        max_lesions: an exam's count is cut to this.
        zero_lesion_share: share of exams without a lesion.
        volume_median_mm3, volume_sigma: lognormal of lesion volumes, before `lesion_scale`.
        giant_share: share of lesions drawn from a second lognormal (18 mL, sigma 0.5).
        vessels: gradient-echo (vessels as bright as lesions) or black-blood (most suppressed).
        field_strength_t: lower fields have more noise, less enhancement and less bias.
        spacing_mm: voxel size on disk; the section's when left out. The field of view stays the section's.
        slice_thickness_mm: through-plane averaging; the third spacing when left out.
        orientation: axis codes of the files.
        bias_strength: standard deviation of the logarithm of the bias field.
        noise: Rician sigma at 3 T as a fraction of white matter's T1 signal.
        gain: scanner units for a signal of 1.
        missing: sequences that this site does not acquire.
        miss_tiny_share: share of lesions under 5 mm that the annotators miss.
        boundary_shift_voxels: annotators draw one voxel too tight (-1) or too wide (1).
        labels: what the site's annotators drew, where that is not what the plan asks for: one mask of core and rim
            without oedema ("binary"), or the three classes. The files are the same; which of them is read differs.
        primary_cancer: relative frequency of primary tumours.
    """

    name: Name
    patients: Annotated[int, Field(ge=1, le=999)]
    exams_per_patient: Annotated[float, Field(ge=1.0, le=6.0)] = 1.0
    lesion_count_mu: Positive = 4.59
    lesion_count_dispersion: Positive = 0.30
    max_lesions: Annotated[int, Field(ge=1, le=400)] = 60
    zero_lesion_share: Fraction = 0.035
    volume_median_mm3: Positive = 39.7
    volume_sigma: NotNegative = 2.109
    giant_share: Fraction = 0.01
    vessels: Literal["gre", "black_blood"] = "gre"
    field_strength_t: Annotated[float, Field(ge=0.5, le=7.0)] = 3.0
    spacing_mm: Spacing | None = None
    slice_thickness_mm: Positive | None = None
    orientation: Annotated[str, Field(pattern=r"^[RLAPSI]{3}$")] = "RAS"
    bias_strength: Annotated[float, Field(ge=0.0, le=1.0)] = 0.12
    noise: Annotated[float, Field(ge=0.0, le=0.5)] = 0.03
    gain: Annotated[float, Field(ge=50.0, le=8000.0)] = 1000.0
    missing: tuple[Sequence, ...] = ()
    miss_tiny_share: Fraction = 0.0
    boundary_shift_voxels: Literal[-1, 0, 1] = 0
    labels: Literal["binary", "three_class"] | None = None
    primary_cancer: Annotated[dict[Primary, NotNegative], Field(min_length=1)] = {
        "lung": 0.48,
        "breast": 0.20,
        "melanoma": 0.11,
        "gastrointestinal": 0.08,
        "renal": 0.05,
        "unknown": 0.08,
    }

    @model_validator(mode="after")
    def _orientation_names_each_axis(self) -> "SiteProfile":
        axes = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
        if len({axes[code] for code in self.orientation}) != 3:
            raise ValueError(f"orientation '{self.orientation}' must name each of R/L, A/P and S/I once")
        if sum(self.primary_cancer.values()) <= 0.0:
            raise ValueError("primary_cancer needs one frequency above 0")
        return self


class PhantomSection(Frozen):
    """A cohort of phantoms.

    Attributes:
        shape: voxels along right, anterior, superior at `spacing_mm`; with it, the field of view.
        spacing_mm: voxel size of every site that does not state its own.
        lesion_scale: factor on every lesion's diameter; 1 is calibrated. A quick cohort on a coarse grid states
            a larger one, and so must its report: at 3 the median volume of 39.7 mm3 becomes 1072 mm3.
        sites: one profile a site.
    """

    shape: tuple[Count, Count, Count] = (96, 96, 96)
    spacing_mm: Spacing = (2.0, 2.0, 2.0)
    lesion_scale: Annotated[float, Field(ge=0.5, le=5.0)] = 1.0
    sites: Annotated[tuple[SiteProfile, ...], Field(min_length=1, max_length=800)]

    @model_validator(mode="after")
    def _sites_fit(self) -> "PhantomSection":
        names = [site.name for site in self.sites]
        if len(set(names)) != len(names):
            raise ValueError(f"sites holds a name twice: {names}")
        if any(extent < 80.0 for extent in self.field_of_view_mm):
            raise ValueError(f"field of view {self.field_of_view_mm} mm is under 80 mm: no brain fits")
        for site in self.sites:
            if max(self.shape_of(site)) > MAX_VOXELS_PER_AXIS or min(self.shape_of(site)) < 8:
                raise ValueError(f"site {site.name}: grid {self.shape_of(site)} must have 8 to 512 voxels an axis")
        return self

    @property
    def field_of_view_mm(self) -> tuple[float, float, float]:
        """Extent of the grid along right, anterior, superior; the same at every site."""
        x, y, z = (count * step for count, step in zip(self.shape, self.spacing_mm, strict=True))
        return (x, y, z)

    def spacing_of(self, site: SiteProfile) -> tuple[float, float, float]:
        """Voxel size at a site."""
        return site.spacing_mm or self.spacing_mm

    def shape_of(self, site: SiteProfile) -> tuple[int, int, int]:
        """Voxels at a site: 72 x 2.4 mm of view are 35 slices of 5 mm."""
        x, y, z = (
            round(extent / step) for extent, step in zip(self.field_of_view_mm, self.spacing_of(site), strict=True)
        )
        return (x, y, z)
