"""One reader serves `score`, `compare-exams` and preparation: what one takes for a label the others do too."""

from pathlib import Path

import numpy as np
import pytest

from client.data.case import Listing
from client.data.quality import whole_labels
from client.data.survey import survey_cases
from client.exam_comparison import compare_exams
from client.label_file import read_label_file
from client.scoring import ALL_LABELS, Region, score_pair
from common.errors import CaseReason, CaseRejected, DataError
from tests.client.data.heads import SHAPE, SPACING_MM, write_case
from tests.nifti import oriented_affine, write_nifti

LABEL = np.zeros((12, 12, 12), np.float32)
LABEL[2:6, 2:6, 2:6] = 3.0


def test_numbers_a_thousandth_off_are_whole_to_every_command(tmp_path: Path) -> None:
    whole = write_nifti(tmp_path / "whole.nii", LABEL)
    nearly = write_nifti(tmp_path / "nearly.nii", LABEL * np.float32(1.0001))
    assert read_label_file(nearly).values.dtype == np.uint16
    assert np.array_equal(read_label_file(nearly).values, LABEL)
    scores = score_pair(nearly, whole, [Region(ALL_LABELS, frozenset())], {}).regions[ALL_LABELS]
    assert (scores.hd95_mm, scores.voxels.fp, scores.voxels.fn) == (0.0, 0, 0)
    assert [str(each.change) for each in compare_exams(whole, nearly, frozenset({3})).changes] == ["stable"]


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (0.3, CaseReason.ILLEGAL_LABEL, "value 0.3 is not a whole number; give a label map"),
        (-1.0, CaseReason.ILLEGAL_LABEL, "value -1 is no label; give whole numbers from 0"),
        (70_000.0, CaseReason.ILLEGAL_LABEL, "value 70000 is no label"),
        (np.nan, CaseReason.NOT_FINITE, "holds NaN or infinity"),
    ],
)
def test_what_is_no_label_is_refused_alike(tmp_path: Path, value: float, reason: CaseReason, words: str) -> None:
    values = LABEL.copy()
    values[0, 0, 0] = value
    odd, sound = write_nifti(tmp_path / "odd.nii", values), write_nifti(tmp_path / "sound.nii", LABEL)
    for refused in (lambda: score_pair(odd, sound, [], {}), lambda: compare_exams(sound, odd)):
        with pytest.raises(DataError, match=f"{reason}: .*odd.nii: .*{words}"):
            refused()
    with pytest.raises(CaseRejected, match=words) as caught:
        whole_labels(values, "a", odd)
    assert caught.value.reason is reason


def test_a_survey_without_a_plan_takes_no_map_of_probabilities_for_a_label(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    assert case.label is not None
    write_nifti(case.label, np.full(SHAPE, 0.3, np.float32), oriented_affine("RAS", SPACING_MM, SHAPE))
    survey = survey_cases(Listing((case,)), None, None, lambda: 60.0)
    assert [bad.reason for bad in survey.bad] == [CaseReason.ILLEGAL_LABEL]
