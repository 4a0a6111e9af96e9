"""Score label files against reference files, region by region.

Spacing comes from the header, and the two grids are compared before anything else: a prediction that was written
on another grid has a Dice too, and it means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine

from client.data.case import Grid
from client.data.grids import corners_of
from client.data.volume import Volume, read_volume
from common.errors import CaseReason, CaseRejected, DataError
from common.metrics.overlap import crop_to_content
from common.metrics.region import RegionScores, score_region

LabelMap = npt.NDArray[np.uint16]

ALL_LABELS = "all"
_LARGEST_LABEL = 65_535
_SAME_PLACE = 0.01  # of the smallest voxel edge: headers of single precision differ by a tenth of that


@dataclass(frozen=True, slots=True)
class Region:
    """A union of labels under a name; no labels means every label but 0."""

    name: str
    labels: frozenset[int]

    def mask_of(self, labels: LabelMap) -> npt.NDArray[np.bool_]:
        """The region's voxels."""
        if not self.labels:
            return np.asarray(labels != 0, bool)
        chosen = np.zeros(_LARGEST_LABEL + 1, bool)
        chosen[sorted(self.labels)] = True
        return np.asarray(chosen[labels], bool)


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """One prediction against its reference.

    Attributes:
        regions: scores by the region's name, in the order asked for.
        empty: regions that have no voxel in either file.
        spacing_mm: from the reference's header.
    """

    regions: Mapping[str, RegionScores]
    empty: tuple[str, ...]
    spacing_mm: tuple[float, float, float]


def score_pair(
    prediction: Path, reference: Path, regions: Sequence[Region], mapping: Mapping[int, int]
) -> ScoredPair:
    """Score one file against another.

    Args:
        prediction: NIfTI label file; likewise `reference`.
        reference: the same grid.
        regions: what to score.
        mapping: label to label, applied to both files first.

    Raises:
        DataError: a file cannot be read, holds something other than labels, or the grids differ (both are named).
    """
    predicted, expected = _read(prediction), _read(reference)
    _require_same_grid(predicted.grid, expected.grid, prediction, reference)
    marked = _labels(predicted, prediction, mapping)
    drawn = _labels(expected, reference, mapping)
    spacing_mm = _header_spacing_mm(expected.grid)
    inner, outer = crop_to_content(marked, drawn), marked.size
    scores, empty = {}, []
    for region in regions:
        found, real = (region.mask_of(labels.astype(np.uint16, copy=False)) for labels in inner)
        if not found.any() and not real.any():
            empty.append(region.name)
        scores[region.name] = score_region(found, real, spacing_mm, scan_voxels=outer)
    return ScoredPair(scores, tuple(empty), spacing_mm)


def _read(path: Path) -> Volume:
    try:
        return read_volume(path, path.name, CaseReason.MISSING_LABEL)
    except CaseRejected as error:
        raise DataError(f"{error.reason}: {error.detail}") from None


def _labels(volume: Volume, path: Path, mapping: Mapping[int, int]) -> LabelMap:
    values = volume.values
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high) and low >= 0 and high <= _LARGEST_LABEL):
        raise DataError(f"{path}: voxels from {low:g} to {high:g} are not labels; give a label map, 0 background")
    labels = values.astype(np.uint16)
    if values.dtype.kind == "f" and not np.array_equal(labels, values):
        raise DataError(
            f"{path}: holds fractions, such as {values[labels != values].flat[0]:g}: not a label map; "
            "threshold a probability map before scoring it"
        )
    if mapping:
        table = np.arange(_LARGEST_LABEL + 1, dtype=np.uint16)
        for source, target in mapping.items():
            table[source] = target
        labels = table[labels]
    return labels


def _header_spacing_mm(grid: Grid) -> tuple[float, float, float]:
    """Voxel edges to the nanometre: headers are of single precision, and 2 mm3 must not be 2.0000002."""
    x, y, z = (round(edge, 6) for edge in grid.spacing_mm)
    return (x, y, z)


def _require_same_grid(predicted: Grid, expected: Grid, prediction: Path, reference: Path) -> None:
    if predicted.shape == expected.shape:
        corners = corners_of(np.zeros(3), np.asarray(expected.shape, np.float64) - 1.0)
        shift = apply_affine(predicted.affine, corners) - apply_affine(expected.affine, corners)
        if np.linalg.norm(shift, axis=1).max() <= _SAME_PLACE * min(expected.spacing_mm):
            return
    raise DataError(
        f"prediction {prediction} ({_geometry(predicted)}) and reference {reference} ({_geometry(expected)}) "
        "lie on different grids; resample the prediction to the reference's grid"
    )


def _geometry(grid: Grid) -> str:
    shape = " x ".join(str(size) for size in grid.shape)
    spacing = " x ".join(f"{edge:.4g}" for edge in grid.spacing_mm)
    origin = ", ".join(f"{value:.4g}" for value in grid.affine[:3, 3])
    axes = "".join(str(code) for code in nib.orientations.aff2axcodes(grid.affine))
    return f"shape {shape}, spacing {spacing} mm, axes {axes}, origin {origin}"
