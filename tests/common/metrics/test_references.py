"""The values that other people's tools gave on real label files."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from common.metrics.confusion import count_voxels
from common.metrics.detection import label_lesions
from common.metrics.instances import Pair, count_overlaps, match_by_iou
from common.metrics.lesionwise import BRATS_GLI_2023, BRATS_METS_2023
from common.metrics.overlap import crop_to_content
from common.metrics.panoptic import mean, quality_of_pairs
from common.metrics.region import score_region

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("FEDMETS_REFERENCE" not in os.environ, reason="FEDMETS_REFERENCE is not set"),
]
REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
RULES = {"BraTS-MET": BRATS_METS_2023, "BraTS-GLI": BRATS_GLI_2023}
VOXELS = (1.0, 1.0, 1.0)  # the panoptica values were computed in voxels, whatever the spacing
TCGA = "real/tcga-fg-6692"
EXACT = 1e-6


def folder() -> Path:
    return Path(os.environ["FEDMETS_REFERENCE"])


@cache
def labels_of(path: str) -> npt.NDArray[np.uint16]:
    return np.asarray(nib.load(folder().parent / path).dataobj).astype(np.uint16)


def rows_of(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder() / name).read_text(encoding="utf-8"))["rows"]
    return rows


def test_lesionwise_rows() -> None:
    rows = rows_of("brats2023_lesionwise.json")
    assert len(rows) == 36
    for row in rows:
        labels = labels_of(row["pred"]), labels_of(row["ref"])
        both = (np.where(part == 4, 3, part) for part in crop_to_content(*labels))
        prediction, reference = (np.isin(part, REGIONS[row["Labels"]]) for part in both)
        scores = score_region(prediction, reference, VOXELS, RULES[row["challenge"]], scan_voxels=labels[0].size)
        figures = {
            "Num_TP": scores.lesionwise.counts.tp,
            "Num_FP": scores.lesionwise.counts.fp,
            "Num_FN": scores.lesionwise.counts.fn,
            "Sensitivity": scores.voxels.recall,
            "Specificity": scores.voxels.specificity,
            "Legacy_Dice": scores.voxels.dice,
            "Legacy_HD95": scores.hd95_mm,
            "GT_Complete_Volume": scores.voxels.tp + scores.voxels.fn,
            "LesionWise_Score_Dice": scores.lesionwise.dice,
            "LesionWise_Score_HD95": scores.lesionwise.hd95_mm,
        }
        assert figures == pytest.approx({name: row[name] for name in figures}, abs=EXACT), row


@pytest.mark.parametrize("number", range(5))
def test_panoptica_rows(number: int) -> None:
    row = rows_of("panoptica.json")[number]
    predicted, reference, pairs = instances_of(row["case"])
    overlaps = count_overlaps(predicted, reference)
    matched = match_by_iou(overlaps, row["matching_threshold"]) if pairs is None else pairs
    quality = quality_of_pairs(predicted, reference, VOXELS, overlaps, matched)
    figures = {
        "num_ref_instances": len(overlaps.reference_voxels),
        "num_pred_instances": len(overlaps.predicted_voxels),
        "tp": quality.counts.tp,
        "fp": quality.counts.fp,
        "fn": quality.counts.fn,
        "prec": quality.counts.precision,
        "rec": quality.counts.sensitivity,
        "rq": quality.recognition,
        "sq": quality.segmentation,
        "sq_std": np.std(quality.iou),
        "pq": quality.quality,
        "sq_dsc": mean(quality.dice),
        "sq_dsc_std": np.std(quality.dice),
        "pq_dsc": quality.quality_dice,
        "sq_assd": mean(quality.assd_mm),
        "sq_assd_std": np.std(quality.assd_mm),
        "sq_rvd": mean(quality.relative_volumes),
        "sq_rvd_std": np.std(quality.relative_volumes),
        "global_bin_dsc": count_voxels(predicted, reference).dice,
    }
    assert figures == pytest.approx({name: row[name] for name in figures}, abs=EXACT)


def instances_of(case: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any], list[Pair] | None]:
    """Both maps of instances, and the pairs where the files number them alike."""
    kind = case.split()[1]
    if case.startswith("spine"):
        predicted, reference = (labels_of(f"real/panoptica-spine/{kind}/{end}.nii.gz") for end in ("pred", "ref"))
        common = sorted(set(np.unique(predicted)) & set(np.unique(reference)) - {0})
        return predicted, reference, [(int(n), int(n)) for n in common] if kind == "matched_instance" else None
    model = case.split()[3]
    masks = labels_of(f"{TCGA}/segmentation/{model}-20.nii.gz"), labels_of(f"{TCGA}/fusion/mav.nii.gz")
    first, second = (label_lesions(mask)[0] for mask in crop_to_content(*masks))
    return first, second, None
