"""Volumes of two folders beside one another."""

import json
from pathlib import Path

import numpy as np
import pytest

from client.cli import app
from common.cli import run_app
from tests.nifti import write_nifti

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
PREDICTED, REFERENCE = (3, 4, 6, 8, 0), (2, 4, 5, 9, 3)


def write(folder: Path, counts: tuple[int, ...]) -> Path:
    """So many voxels of 2 mm3 in a row, a file a case."""
    for number, count in enumerate(counts):
        labels = np.zeros((12, 5, 5), np.uint8)
        labels[1 : 1 + count, 2, 2] = 1
        write_nifti(folder / f"case-{number}.nii.gz", labels, AFFINE)
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    return str(write(tmp_path / "p", PREDICTED)), str(write(tmp_path / "r", REFERENCE))


def test_concordance_bias_and_limits(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, "fedmets-site", ["score", *folders, "--region", "et=1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["volumes"]["et"]
    predicted, reference = 2.0 * np.array(PREDICTED), 2.0 * np.array(REFERENCE)
    covariance = np.cov(predicted, reference, ddof=0)
    total = covariance[0, 0] + covariance[1, 1] + (predicted.mean() - reference.mean()) ** 2
    assert found["concordance"]["estimate"] == pytest.approx(2 * covariance[0, 1] / total)
    gaps = predicted - reference
    bias, spread = gaps.mean(), 1.96 * gaps.std(ddof=1)
    limits = [found["difference_mm3"][end]["estimate"] for end in ("lower", "bias", "upper")]
    assert limits == pytest.approx([bias - spread, bias, bias + spread])
    kept = predicted > 0
    assert found["ratio"]["bias"]["estimate"] == pytest.approx(
        np.exp(np.log(predicted[kept] / reference[kept]).mean())
    )
    assert found["ratio"]["left_out"] == 1


def test_the_table_says_so_too(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, "fedmets-site", ["score", *folders]) == 0
    printed = capsys.readouterr().out
    assert "volume, concordance" in printed
    assert "volume, difference in mm3" in printed
    assert "limits" in printed and "1 left out for having none in one of the two" in printed
