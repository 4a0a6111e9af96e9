"""What a plan is made from: a dataset's spacing, size and intensities, in numbers that name no case.

After the dataset fingerprint of nnU-Net (Isensee et al., Nature Methods 2021). All axes are (x, y, z).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from common.errors import DataError
from common.numbers import Count, Fraction, NotNegative, Positive
from common.planning.axes import Floats
from common.planning.spacing import TargetSpacing, target_spacing
from common.schema import Frozen

MIN_PATIENTS = 5
"""Medians over fewer would come close to showing a patient's own scan."""

PositiveTriple = tuple[Positive, Positive, Positive]


class Intensity(Frozen):
    """Intensities of one sequence inside the brain, in the scanner's units: means over cases of each case's own.

    Attributes:
        mean, sd: of a case's voxels in the brain.
        p005, p995: their 0.5th and 99.5th percentiles.
        cases: how many cases had the sequence.
    """

    mean: float
    sd: NotNegative
    p005: float
    p995: float
    cases: Count


@dataclass(frozen=True, slots=True)
class CaseFingerprint:
    """One case's row; it stays where the case is.

    Attributes:
        exam, patient: whose.
        spacing_mm: (x, y, z).
        shape: voxels of the box around the brain, (x, y, z), at that spacing.
        cropped_share: voxels of that box over voxels of the image.
        intensities: by sequence; only those that the case has.
    """

    exam: str
    patient: str
    spacing_mm: Floats
    shape: tuple[int, int, int]
    cropped_share: float
    intensities: Mapping[str, Intensity]


class Fingerprint(Frozen):
    """A dataset in a few numbers.

    Attributes:
        cases, patients: how many it was taken from.
        spacing_mm: median voxel edges.
        spacing_p10_mm: their 10th percentiles.
        shape: median number of voxels of the box around the brain, at each case's own spacing.
        extent_mm: median of number times spacing: what the box measures.
        cropped_share: median share of the image that the box takes.
        intensities: by sequence.
        target_shape: median number of voxels of the box once every case is resampled to the target spacing; None
            where that is not known, as of several sites together.
    """

    cases: Count
    patients: Count
    spacing_mm: PositiveTriple
    spacing_p10_mm: PositiveTriple
    shape: PositiveTriple
    extent_mm: PositiveTriple
    cropped_share: Annotated[Fraction, Field(gt=0.0)]
    intensities: dict[str, Intensity] = {}
    target_shape: PositiveTriple | None = None

    @property
    def target(self) -> TargetSpacing:
        """The spacing that nnU-Net would resample all cases to."""
        return target_spacing(self.spacing_mm, self.spacing_p10_mm, self.shape)

    @property
    def median_shape(self) -> Floats:
        """The median case at the target spacing, in voxels: as counted, or else after the box's extent."""
        return self.shape_at(self.target.spacing_mm) if self.target_shape is None else self.target_shape

    def shape_at(self, spacing_mm: Floats) -> Floats:
        """Median shape after resampling, to half a voxel, as medians of whole numbers are.

        Example: 150.75 mm at 1.5 mm are 100.5 voxels. nnU-Net takes the median of each case's rounded shape; the
        two differ by half a voxel at most.
        """
        x, y, z = (
            max(1.0, round(2.0 * extent / edge) / 2.0)
            for extent, edge in zip(self.extent_mm, spacing_mm, strict=True)
        )
        return (x, y, z)


def summarise(rows: Sequence[CaseFingerprint]) -> Fingerprint:
    """The fingerprint of a dataset whose rows are all at hand; the order of the rows does not matter.

    Raises:
        DataError: there is no row.
    """
    if not rows:
        raise DataError("no usable case to take a fingerprint of; the lines above say why, case by case")
    rows = sorted(rows, key=lambda row: row.exam)
    spacings = np.array([row.spacing_mm for row in rows], dtype=np.float64)
    shapes = np.array([row.shape for row in rows], dtype=np.float64)
    sequences = sorted({name for row in rows for name in row.intensities})
    spacing_mm, p10_mm = _triple(np.median(spacings, axis=0)), _triple(np.percentile(spacings, 10, axis=0))
    shape = _triple(np.median(shapes, axis=0))
    target_mm = np.array(target_spacing(spacing_mm, p10_mm, shape).spacing_mm)
    resampled = np.maximum(np.rint(spacings / target_mm * shapes), 1.0)
    return Fingerprint(
        cases=len(rows),
        patients=len({row.patient for row in rows}),
        spacing_mm=spacing_mm,
        spacing_p10_mm=p10_mm,
        shape=shape,
        extent_mm=_triple(np.median(shapes * spacings, axis=0)),
        cropped_share=float(np.median([row.cropped_share for row in rows])),
        intensities={
            name: _mean_intensity([row.intensities[name] for row in rows if name in row.intensities])
            for name in sequences
        },
        target_shape=_triple(np.median(resampled, axis=0)),
    )


def merge_fingerprints(sites: Sequence[Fingerprint]) -> Fingerprint:
    """One fingerprint of several sites from theirs alone: every number is the mean over sites, weighted by cases.

    After the federated fingerprint of FednnU-Net, without the list of every case's spacing and shape that it
    joins, since those are rows. Means of intensities are those of all cases together; a mean of medians is not
    the median of all: sites of 30 cases at 1 mm and 10 at 3 mm give 1.5 mm, which no site has. Shapes at each
    site's target spacing are left out, since all together have another target. The order of the sites does not
    matter beyond rounding, and a single site's fingerprint stays as it is.

    Raises:
        DataError: no site, or one with fewer than five patients, whose medians would be nearly its rows.
    """
    if not sites:
        raise DataError("no site's fingerprint to merge")
    small = [site.patients for site in sites if site.patients < MIN_PATIENTS]
    if small:
        raise DataError(
            f"a site's fingerprint covers {min(small)} patients, {MIN_PATIENTS} are the least that may be shown; "
            "leave the site out of planning"
        )
    if len(sites) == 1:
        return sites[0]
    weights = np.array([site.cases for site in sites], dtype=np.float64)

    def mean(values: Sequence[Floats]) -> Floats:
        return _triple(np.average(np.array(values), axis=0, weights=weights))

    names = sorted({name for site in sites for name in site.intensities})
    return Fingerprint(
        cases=sum(site.cases for site in sites),
        patients=sum(site.patients for site in sites),
        spacing_mm=mean([site.spacing_mm for site in sites]),
        spacing_p10_mm=mean([site.spacing_p10_mm for site in sites]),
        shape=mean([site.shape for site in sites]),
        extent_mm=mean([site.extent_mm for site in sites]),
        cropped_share=float(np.average([site.cropped_share for site in sites], weights=weights)),
        intensities={
            name: _mean_intensity([site.intensities[name] for site in sites if name in site.intensities])
            for name in names
        },
    )


def _mean_intensity(parts: Sequence[Intensity]) -> Intensity:
    """Mean of each number, weighted by cases."""
    weights = [part.cases for part in parts]
    mean, sd, p005, p995 = (
        float(value)
        for value in np.average(
            [(part.mean, part.sd, part.p005, part.p995) for part in parts], axis=0, weights=weights
        )
    )
    return Intensity(mean=mean, sd=sd, p005=p005, p995=p995, cases=sum(weights))


def _triple(values: npt.NDArray[np.float64]) -> Floats:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
