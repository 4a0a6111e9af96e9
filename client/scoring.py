"""Score label files against reference files, region by region.

Spacing comes from the header, and the two grids are compared before anything else: a prediction that was written
on another grid has a Dice too, and it means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine

from client.data.case import Grid
from client.data.grids import corners_of, describe_grid, header_spacing_mm
from client.data.label_table import where_any
from client.data.quality import MAX_LABEL_VALUE
from client.label_file import read_label_file
from common.errors import DataError
from common.metrics.overlap import crop_to_content
from common.metrics.region import RegionScores, score_region

LabelMap = npt.NDArray[np.uint16]

ALL_LABELS = "all"
_SAME_PLACE = 0.01  # of the smallest voxel edge: headers of single precision differ by a tenth of that


@dataclass(frozen=True, slots=True)
class Region:
    """A union of labels under a name; no labels means every label but 0."""

    name: str
    labels: frozenset[int]

    def mask_of(self, labels: LabelMap) -> npt.NDArray[np.bool_]:
        """The region's voxels."""
        return where_any(labels, self.labels)


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
    predicted, expected = read_label_file(prediction), read_label_file(reference)
    _require_same_grid(predicted.grid, expected.grid, prediction, reference)
    marked, drawn = _relabelled(predicted.values, mapping), _relabelled(expected.values, mapping)
    spacing_mm = header_spacing_mm(expected.grid)
    inner, outer = crop_to_content(marked, drawn), marked.size
    scores, empty = {}, []
    for region in regions:
        found, real = (region.mask_of(labels.astype(np.uint16, copy=False)) for labels in inner)
        if not found.any() and not real.any():
            empty.append(region.name)
        scores[region.name] = score_region(found, real, spacing_mm, scan_voxels=outer)
    return ScoredPair(scores, tuple(empty), spacing_mm)


def _relabelled(labels: LabelMap, mapping: Mapping[int, int]) -> LabelMap:
    if not mapping:
        return labels
    table = np.arange(MAX_LABEL_VALUE + 1, dtype=np.uint16)
    for source, target in mapping.items():
        table[source] = target
    return table[labels]


def _require_same_grid(predicted: Grid, expected: Grid, prediction: Path, reference: Path) -> None:
    if predicted.shape == expected.shape:
        corners = corners_of(np.zeros(3), np.asarray(expected.shape, np.float64) - 1.0)
        shift = apply_affine(predicted.affine, corners) - apply_affine(expected.affine, corners)
        if np.linalg.norm(shift, axis=1).max() <= _SAME_PLACE * min(expected.spacing_mm):
            return
    raise DataError(
        f"prediction {prediction} ({describe_grid(predicted)}) and reference {reference} "
        f"({describe_grid(expected)}) lie on different grids; resample the prediction to the reference's grid"
    )
