import csv
import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from client.cli import app
from common.cli import run_app
from tests.nifti import write_nifti

UNEVEN = np.diag([1.0, 1.0, 2.0, 1.0])
KEYS = {
    *("dice", "hd95", "hd95_pooled", "lesionwise_dice", "lesionwise_hd95", "tp", "fp", "fn"),
    *("sensitivity_by_diameter", "sensitivity_by_volume"),
}


def cubes(*corners: tuple[int, int, int, int, int]) -> npt.NDArray[np.uint8]:
    """Label map of 30 x 20 x 16, each cube given by its first voxel, edge and label."""
    labels = np.zeros((30, 20, 16), np.uint8)
    for x, y, z, edge, label in corners:
        labels[x : x + edge, y : y + edge, z : z + edge] = label
    return labels


def score(*arguments: object) -> int:
    return run_app(app, "fedmets-site", ["score", *(str(argument) for argument in arguments)])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """One lesion found a voxel off, one missed, one invented; 4 in place of 3 in the prediction."""
    reference = cubes((2, 2, 2, 4, 1), (3, 3, 3, 2, 3), (20, 10, 8, 2, 2))
    prediction = cubes((3, 2, 2, 4, 1), (4, 3, 3, 2, 4), (12, 12, 12, 2, 2))
    return (
        write_nifti(tmp_path / "prediction.nii.gz", prediction, UNEVEN),
        write_nifti(tmp_path / "reference.nii.gz", reference, UNEVEN),
    )


def test_one_pair_as_json(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert score(*pair, "--region", "wt=1,2,3", "--region", "et=3", "--map", "4=3", "--json") == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert list(result) == ["wt", "et"]
    assert all(set(scores) == KEYS for scores in result.values())
    wt, et = result["wt"], result["et"]
    assert (wt["tp"], wt["fp"], wt["fn"]) == (1, 1, 1)
    assert wt["dice"] == pytest.approx(2 * 48 / (72 + 72))
    assert (wt["lesionwise_dice"], wt["lesionwise_hd95"]) == pytest.approx((0.75 / 3, (1 + 2 * 374) / 3))
    assert (et["dice"], et["hd95"]) == pytest.approx((0.5, 1.0))
    assert wt["sensitivity_by_volume"] == {
        "under_27": {"value": 0.0, "lesions": 1},
        "27_to_275": {"value": 1.0, "lesions": 1},
        "over_275": {"value": None, "lesions": 0},
    }
    assert wt["sensitivity_by_diameter"]["6_to_10"] == {"value": 1.0, "lesions": 1}


def test_the_rule_of_2025_and_every_measure(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert score(*pair, "--rule", "panoptica2025", "--json", "--all") == 0
    scores = json.loads(capsys.readouterr().out)["all"]
    assert set(scores) > KEYS
    assert (scores["tp"], scores["fp"], scores["fn"]) == (1, 1, 1)
    assert scores["lesionwise_dice"] == scores["large_lesion_dice"] == pytest.approx(0.75)
    assert scores["small_lesion_f1"] == 0.0
    assert scores["iou"] == pytest.approx(scores["dice"] / (2 - scores["dice"]))


def test_spacing_is_the_header_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        write_nifti(tmp_path / f"{z}.nii", cubes((2, 2, z, 3, 1)), np.diag([1.0, 1.0, 2.5, 1.0])) for z in (2, 8)
    ]
    assert score(*files, "--json", "--all") == 0
    scores = json.loads(capsys.readouterr().out)["all"]
    assert (scores["hd95"], scores["hd95_pooled"]) == pytest.approx((15.0, 15.0))


def test_empty_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty, one = (write_nifti(tmp_path / f"{n}.nii", cubes((2, 2, 2, n, 1))) for n in (0, 3))
    figures = []
    for files in ((empty, empty), (empty, one), (one, empty)):
        assert score(*files, "--json") == 0
        scores = json.loads(capsys.readouterr().out)["all"]
        figures.append(
            [scores[key] for key in ("dice", "hd95", "hd95_pooled", "lesionwise_dice", "lesionwise_hd95")]
        )
    assert figures == [[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 374.0, 374.0, 0.0, 374.0], [0.0, 374.0, 374.0, 0.0, 374.0]]


def test_a_region_in_neither_file_is_said(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert score(*pair, "--region", "rc=7", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rc"]["dice"] == 1.0
    assert "region rc has no voxel in either file" in printed.err


@pytest.mark.parametrize(
    ("shape", "affine"),
    [((30, 20, 17), UNEVEN), ((30, 20, 16), np.eye(4)), ((30, 20, 16), UNEVEN @ np.diag([-1.0, 1, 1, 1]))],
)
def test_another_grid_is_refused_with_both_named(
    tmp_path: Path,
    pair: tuple[Path, Path],
    shape: tuple[int, int, int],
    affine: npt.NDArray[np.float64],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_nifti(tmp_path / "other.nii.gz", np.ones(shape, np.uint8), affine)
    assert score(other, pair[1], "--json") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    for word in ("other.nii.gz", "reference.nii.gz", f"x {shape[2]}", "1 x 1 x 2 mm", "different grids"):
        assert word in printed.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--region", "tc"), "--region tc: not of the form NAME=LABELS"),
        (("--region", "tc=0"), "--region tc=0: not of the form"),
        (("--region", "tc=1", "--region", "tc=2"), "given twice"),
        (("--map", "4:3"), "--map 4:3: not of the form FROM=TO"),
        (("--rule", "brats2019"), "brats2019"),
    ],
)
def test_mistyped_options(
    pair: tuple[Path, Path], options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(*pair, *options) == 2
    assert words in capsys.readouterr().err


def test_probabilities_and_missing_files_are_refused(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    soft = write_nifti(tmp_path / "soft.nii", np.full((30, 20, 16), 0.25, np.float32), UNEVEN)
    assert score(soft, pair[1]) == 2
    assert "soft.nii: value 0.25 is not a whole number; give a label map" in capsys.readouterr().err
    assert score(tmp_path / "none.nii", pair[1]) == 2
    assert "none.nii" in capsys.readouterr().err
    assert score(tmp_path, pair[1]) == 2
    assert "two files or two folders" in capsys.readouterr().err


def folders(root: Path, cases: int) -> tuple[Path, Path]:
    for number in range(cases):
        reference = cubes((2, 2, 2, 4, 1), (20, 10, 8, 2, 1))
        prediction = cubes((2 + number % 3, 2, 2, 4, 1))
        write_nifti(root / "p" / f"case-{number}.nii.gz", prediction)
        write_nifti(root / "r" / f"case-{number}.nii", reference)
    return root / "p", root / "r"


def test_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions, references = folders(tmp_path, 6)
    write_nifti(predictions / "stray.nii.gz", cubes())
    write_nifti(references / "unread.nii.gz", cubes())
    table = tmp_path / "scores.csv"
    assert score(predictions, references, "--json", "--csv", table) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["only_predicted"], result["only_reference"]) == (["stray"], ["unread"])
    assert "not scored: stray: has no reference" in printed.err
    assert "not scored: unread: has no prediction" in printed.err
    dices = [case["all"]["dice"] for case in result["cases"].values()]
    summary = result["summary"]["all"]
    assert summary["dice"]["estimate"] == pytest.approx(sum(dices) / 6)
    assert (
        min(dices) <= summary["dice"]["low"] < summary["dice"]["estimate"] < summary["dice"]["high"] <= max(dices)
    )
    assert summary["lesion_sensitivity"]["estimate"] == pytest.approx(0.5)
    assert summary["sensitivity_by_volume_under_27"]["estimate"] == 0.0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [float(row["dice"]) for row in rows] == pytest.approx(dices)
    assert rows[0]["sensitivity_by_volume_over_275"] == ""
    assert score(predictions, references) == 0
    text = capsys.readouterr().out
    assert "over 6 cases (95% percentile bootstrap over cases, 2000 replicates)" in text
    assert f"{math.fsum(dices) / 6:.4f} (" in text


def test_a_pair_that_fails_is_said_and_the_others_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, references = folders(tmp_path, 3)
    write_nifti(predictions / "case-1.nii.gz", np.zeros((3, 3, 3), np.uint8))
    assert score(predictions, references, "--json") == 1
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert list(result["cases"]) == ["case-0", "case-2"]
    assert "different grids" in result["failed"]["case-1"]
    assert score(predictions, tmp_path) == 2
    assert "no file name in common" in capsys.readouterr().err
