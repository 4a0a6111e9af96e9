"""Small sections and cohorts, in memory and on disk."""

from pathlib import Path

from simulation.phantom.anatomy import draw_anatomy
from simulation.phantom.annotation import Annotation, annotate
from simulation.phantom.appearance import draw_appearance
from simulation.phantom.dataset import exam_list, finish_cohort, write_exam
from simulation.phantom.exam import PhantomExam, head_scale, make_exam, sampling_grid
from simulation.phantom.fields import generator
from simulation.phantom.lesion_render import RenderedLesion, render_lesions
from simulation.phantom.lesions import draw_lesions
from simulation.phantom.placement import place_lesions
from simulation.phantom.profile import PhantomSection, SiteProfile
from simulation.phantom.tissue import Tissue, render_tissue

DEMO_LIKE = SiteProfile(
    name="demo-like",
    patients=8,
    lesion_count_mu=4.0,
    lesion_count_dispersion=2.0,
    max_lesions=8,
    zero_lesion_share=0.0,
    volume_sigma=0.9,
    giant_share=0.0,
)


def section_of(*sites: SiteProfile, lesion_scale: float = 3.07) -> PhantomSection:
    """A coarse grid with a median lesion radius of 6.5 mm."""
    return PhantomSection(shape=(64, 72, 64), spacing_mm=(2.4, 2.4, 2.4), lesion_scale=lesion_scale, sites=sites)


def write_cohort(section: PhantomSection, seed: int, root: Path) -> None:
    """A whole cohort on disk."""
    finish_cohort(section, seed, tuple(write_exam(request, root) for request in exam_list(section, seed)), root)


def exam_of(
    profile: SiteProfile, patient: int = 0, exam: int = 0, seed: int = 1, lesion_scale: float = 3.07
) -> PhantomExam:
    """One exam in memory."""
    return make_exam(section_of(profile, lesion_scale=lesion_scale), profile, "lung", seed, patient, exam)


def tissue_of(profile: SiteProfile) -> Tissue:
    """One brain without images."""
    section = section_of(profile)
    anatomy = draw_anatomy(generator(1, profile.name, 0, "anatomy"))
    return render_tissue(anatomy, sampling_grid(section, profile), head_scale(section))


def labels_of(profile: SiteProfile, tissue: Tissue, patient: int) -> tuple[tuple[RenderedLesion, ...], Annotation]:
    """A patient's lesions of calibrated size, rendered and annotated in a given brain, without images."""
    drawn = draw_lesions(profile, 1.0, 1, patient, 0)
    placed = place_lesions(drawn, tissue, "lung", 0, (1, profile.name, patient))
    looks = tuple(
        (lesion, draw_appearance(generator(1, profile.name, patient, lesion.slot), 2.0 * lesion.radius_mm))
        for lesion in placed
    )
    field = render_lesions(looks, tissue)
    brain = tissue.spread(tissue.depth_mm) > 0.0
    rng = generator(1, profile.name, patient, "annotation")
    return field.lesions, annotate(field.lesions, tissue.spread(field.oedema), brain, profile, tissue.grid, rng)
