"""What the annotators write down: which lesions, and which voxels.

A lesion of V mm3 gets V / voxel voxels, rounded up or down at random so that the expectation is exact: those that
it fills most. A lesion of a quarter of a voxel is thus one voxel in one case of four. In the other three it is a
faint spot in the images and absent from the annotation, as a lesion below the resolution is in a hospital; the
cohort's record says so, and drawn and annotated counts can both be told.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from simulation.phantom.fields import SamplingGrid
from simulation.phantom.lesion_render import Box, RenderedLesion
from simulation.phantom.profile import SiteProfile

NETC, SNFH, ET = 1, 2, 3
TINY_MM = 5.0
THICK_RATIO = 1.5
LabelArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Annotation:
    """The labels of an exam on the grid on disk.

    Attributes:
        three_class: 0, NETC, SNFH, ET.
        voxels: by slot, how many voxels the lesion covers; 0 for one that is below the resolution or missed.
        missed: slots that cover voxels but were overlooked.
    """

    three_class: LabelArray
    voxels: dict[int, int]
    missed: frozenset[int]

    @property
    def binary(self) -> LabelArray:
        """1 in the lesion, core included, without oedema."""
        return np.asarray((self.three_class == ET) | (self.three_class == NETC), dtype=np.uint8)


def annotate(
    lesions: tuple[RenderedLesion, ...],
    oedema: npt.NDArray[np.float32],
    brain: BoolArray,
    profile: SiteProfile,
    grid: SamplingGrid,
    rng: np.random.Generator,
) -> Annotation:
    """Label lesions in the site's style, within the brain; `oedema` is its share of each voxel on disk."""
    three_class = np.where((oedema > 0.5) & brain, SNFH, 0).astype(np.uint8)
    voxels: dict[int, int] = {}
    missed = set()
    for rendered in lesions:
        rounding, attention = rng.random(2)
        covered = _covered(rendered, brain[rendered.box], grid.voxel_volume_mm3, float(rounding))
        tiny = 2.0 * rendered.lesion.radius_mm < TINY_MM
        if covered.any() and tiny and attention < profile.miss_tiny_share:
            missed.add(rendered.lesion.slot)
            covered[:] = False
        box, drawn = _shift(covered, rendered, profile.boundary_shift_voxels, grid)
        drawn &= brain[box]
        core = np.zeros(drawn.shape, dtype=bool)
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(rendered.box, box, strict=True))
        core[inner] = rendered.core > 0.5
        region = three_class[box]
        region[drawn] = np.where(core[drawn], NETC, ET)
        voxels[rendered.lesion.slot] = int(drawn.sum())
    return Annotation(three_class, voxels, frozenset(missed))


def _covered(rendered: RenderedLesion, brain: BoolArray, voxel_mm3: float, uniform: float) -> BoolArray:
    """The voxels the lesion fills most, as many as its volume asks for in expectation."""
    wanted = int(np.floor(rendered.lesion.volume_mm3 / voxel_mm3 + uniform))
    filled = (rendered.occupied * brain).reshape(-1)
    wanted = min(wanted, int(np.count_nonzero(filled)))
    covered = np.zeros(filled.shape, dtype=bool)
    covered[np.argsort(-filled, kind="stable")[:wanted]] = True
    return covered.reshape(rendered.occupied.shape)


def _shift(covered: BoolArray, rendered: RenderedLesion, shift: int, grid: SamplingGrid) -> tuple[Box, BoolArray]:
    """Move the boundary by a voxel; within slices only where slices are thick, as annotators draw.

    A tight annotation never loses a lesion: where nothing would be left, the fullest voxel stays.
    """
    if shift == 0 or not covered.any():
        return rendered.box, covered
    structure = ndimage.generate_binary_structure(3, 1)
    if grid.spacing_mm[2] > THICK_RATIO * min(grid.spacing_mm[:2]):
        structure[:, :, [0, 2]] = False
    if shift < 0:
        tight = ndimage.binary_erosion(covered, structure)
        if not tight.any():
            tight = np.zeros_like(covered)
            tight.reshape(-1)[int(np.argmax(rendered.occupied))] = True
        return rendered.box, tight
    pad = [
        (min(part.start, 1), min(size - part.stop, 1)) for part, size in zip(rendered.box, grid.shape, strict=True)
    ]
    x, y, z = (slice(part.start - a, part.stop + b) for part, (a, b) in zip(rendered.box, pad, strict=True))
    return (x, y, z), ndimage.binary_dilation(np.pad(covered, pad), structure)
