import json
from pathlib import Path

import numpy as np
import pytest

from client.cli import app
from client.exam_comparison import compare_exams
from common.cli import run_app
from common.errors import DataError
from common.metrics.rano_bm import Response
from tests.nifti import oriented_affine, write_nifti

SHAPE = (40, 30, 12)
SPACING = (0.8, 0.8, 2.0)


def write(path: Path, *boxes: tuple[int, int, int], codes: str = "RAS", value: int = 1) -> Path:
    """Boxes of x, y and length, 4 pixels wide and 3 slices thick, in a grid that points to `codes`."""
    mask = np.zeros(SHAPE, np.uint8)
    for x, y, long in boxes:
        mask[x : x + long, y : y + 4, 4:7] = value
    order = ["RLAPSI".index(code) // 2 for code in codes]
    spacing = [SPACING[axis] for axis in order]
    return write_nifti(path, mask.transpose(order), oriented_affine(codes, spacing, [SHAPE[a] for a in order]))


def test_lesions_and_response(tmp_path: Path) -> None:
    first = write(tmp_path / "a.nii.gz", (2, 2, 20), (2, 20, 5))
    second = write(tmp_path / "b.nii.gz", (2, 2, 12), (30, 20, 3))
    found = compare_exams(first, second)
    assert [str(change.change) for change in found.changes] == ["shrunk", "gone", "new"]
    assert found.changes[0].volumes_mm3 == pytest.approx((20 * 12 * 1.28, 12 * 12 * 1.28))
    in_plane = [0.8 * (n**2 + 3**2) ** 0.5 for n in (20, 12)]
    assert (found.targets.baseline_mm, found.targets.current_mm) == pytest.approx(in_plane)
    assert found.targets.response is Response.PROGRESSIVE


@pytest.mark.parametrize("codes", ["LPS", "SRA", "AIR"])
def test_slices_are_axial_however_the_file_is_stored(tmp_path: Path, codes: str) -> None:
    first = write(tmp_path / "a.nii.gz", (2, 2, 20), codes=codes)
    found = compare_exams(first, first)
    assert found.targets.baseline_mm == pytest.approx(0.8 * (20**2 + 3**2) ** 0.5)
    assert found.changes[0].first[0].volume_mm3 == pytest.approx(20 * 12 * 1.28)


def test_labels_that_do_not_count(tmp_path: Path) -> None:
    tumour, oedema = write(tmp_path / "a.nii.gz", (2, 2, 20)), write(tmp_path / "b.nii.gz", (2, 2, 20), value=2)
    assert str(compare_exams(tumour, oedema, frozenset({1, 3})).changes[0].change) == "gone"
    assert str(compare_exams(tumour, oedema).changes[0].change) == "stable"


def test_other_grids_and_files_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.nii.gz", (2, 2, 20))
    other = write_nifti(tmp_path / "c.nii.gz", np.ones((40, 30, 11), np.uint8))
    with pytest.raises(DataError, match=r"a.nii.gz \(shape 40 x 30 x 12, .*c.nii.gz \(shape 40 x 30 x 11"):
        compare_exams(first, other)
    soft = write_nifti(tmp_path / "p.nii.gz", np.full((4, 4, 4), 0.3, np.float32))
    with pytest.raises(DataError, match=r"p.nii.gz: value 0.3 is not a whole number"):
        compare_exams(soft, soft)
    with pytest.raises(DataError, match=r"missing-label: .*d.nii.gz"):
        compare_exams(first, tmp_path / "d.nii.gz")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = str(write(tmp_path / "a.nii.gz", (2, 2, 20), (2, 20, 20)))
    second = str(write(tmp_path / "b.nii.gz", (2, 2, 25), (2, 20, 25)))
    assert run_app(app, "fedmets-site", ["compare-exams", first, second, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rano_bm"]["response"] == "progressive disease"
    assert [row["change"] for row in found["lesions"]] == ["grown", "grown"]
    assert found["lesions"][0]["second"][0]["volume_mm3"] == pytest.approx(25 * 12 * 1.28)
    assert run_app(app, "fedmets-site", ["compare-exams", first, second]) == 0
    out = capsys.readouterr().out
    assert "grown   one to one  1      1" in out
    assert "no single target lesion grew by 5 mm" in out
    assert out.strip().endswith("research software, not a medical device")
    assert run_app(app, "fedmets-site", ["compare-exams", first, second, "--labels", "x"]) == 2
    assert "--labels 'x': give whole numbers above 0" in capsys.readouterr().err
