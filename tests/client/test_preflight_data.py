"""What the preflight says of cases on disk, good and bad, in the time it has."""

import gzip
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from client.data.survey import Survey
from client.preflight_data import check_data
from common.config import DataSection
from common.expiry import Finding
from common.plan import Plan
from tests.client.test_preparing import PLAN, write_case
from tests.nifti import write_nifti

LONG_S = 60.0


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    for number in range(5):
        write_case(tmp_path / "cases", f"p{number}", seed=number)
    return tmp_path / "cases"


def look(cases: Path, plan: Plan | None = PLAN, **section: object) -> tuple[dict[str, Finding], Survey | None]:
    values = {"sequences": {"t1c": "t1c.nii*"}, "label": "seg.nii.gz", "root": str(cases), **section}
    data = DataSection.model_validate({"adapter": "nifti_folders", **values}, strict=False)
    findings, survey = check_data(data, plan, LONG_S)
    return {finding.what: finding for finding in findings}, survey


def test_sound_cases_are_summed_up(cases: Path) -> None:
    found, survey = look(cases)
    assert {finding.level for finding in found.values()} == {"ok"}
    assert found["cases"].finding == f"5 cases of 5 patients at {cases}; files, headers and sizes of all looked at"
    assert found["sequences"].finding == "t1c 5"
    assert found["voxel spacing"].finding == "4 x 4 x 4 mm in 5"
    assert found["label values"].finding == "0 in 5, 1 in 5; 5 labels read"
    assert found["unusable cases"].finding == "none seen"
    assert survey is not None
    assert survey.cache_bytes == 5 * (12**3 * (4 * 1 + 2) + 12**3)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_every_kind_of_damage_is_seen_and_counted(cases: Path) -> None:
    for number in range(5, 60):
        shutil.copytree(cases / "p0", cases / f"p{number:02d}")
    truncate(cases / "p0" / "t1c.nii.gz")
    (cases / "p1" / "seg.nii.gz").unlink()
    write_nifti(cases / "p2" / "seg.nii.gz", np.full((12, 12, 12), 7, np.uint8), np.diag([4.0, 4.0, 4.0, 1.0]))
    (cases / "p3" / "t1c.nii.gz").write_bytes(b"")
    found, _ = look(cases)
    unusable = found["unusable cases"]
    assert unusable.level == "fail"
    assert unusable.finding == (
        "1 illegal-label, 1 missing-label, 1 truncated-file, 1 zero-byte-file: 6.7%, the plan allows 5.0%"
    )
    assert "copy it again" in unusable.advice and unusable.advice.endswith("and 1 more")
    without_plan, _ = look(cases, None)
    assert without_plan["unusable cases"].level == "warn"
    assert without_plan["label values"].finding == "0 in 56, 1 in 56, 7 in 1; 57 labels read"


def test_a_plan_that_needs_more_than_there_is(cases: Path) -> None:
    plan = PLAN.model_copy(update={"sequences": ("t1c", "flair")})
    found, _ = look(cases, plan)
    assert (found["sequences"].level, found["unusable cases"].level) == ("fail", "fail")
    assert found["sequences"].advice == (
        "5 of 5 cases lack flair, which the plan requires: add the files or correct their names, or ask for a "
        'plan with optional_sequences = ["flair"]'
    )
    assert "5 missing-sequence: 100.0%" in found["unusable cases"].finding


def test_optional_and_made_sequences_are_counted_in_one_line(cases: Path) -> None:
    for number in range(3):
        shutil.copy(cases / f"p{number}" / "t1c.nii.gz", cases / f"p{number}" / "t1.nii.gz")
    shutil.copy(cases / "p0" / "t1c.nii.gz", cases / "p0" / "flair.nii.gz")
    plan = Plan.model_validate(
        {
            **PLAN.model_dump(),
            "sequences": ("t1c", "flair", "subtraction"),
            "optional_sequences": ("flair", "subtraction"),
            "preprocessing": {"spacing_mm": (4.0, 4.0, 4.0), "make_subtraction": True},
        }
    )
    files = {name: f"{name}.nii.gz" for name in ("t1", "t1c", "flair")}
    found, survey = look(cases, plan, sequences=files)
    assert found["sequences"].line.endswith(
        "sequences: flair 1, t1 3, t1c 5; optional: flair in 1 of 5, subtraction in 3 of 5; subtraction made for 3"
    )
    assert (found["sequences"].level, found["unusable cases"].level) == ("ok", "ok")
    assert survey is not None
    assert survey.cache_bytes == 5 * (12**3 * (4 * 3 + 2) + 12**3)  # absent channels take their place
    strict = Plan.model_validate({**plan.model_dump(), "optional_sequences": ("flair",)})
    found, _ = look(cases, strict, sequences=files)
    assert found["sequences"].level == "warn"
    assert "2 of 5 cases lack subtraction" in found["sequences"].advice


def test_what_coarse_labels_mean_is_said_and_what_they_lack_too(cases: Path) -> None:
    evaluation = PLAN.evaluation.model_copy(update={"tumour": ("netc", "et")})
    plan = PLAN.model_copy(update={"labels": ("netc", "snfh", "et"), "evaluation": evaluation})
    found, _ = look(cases, plan, label_map={1: ("netc", "et")}, unannotated=["snfh"])
    assert found["label meaning"].finding == "1 is netc or et; background may be snfh, which nobody drew"
    assert found["unusable cases"].level == "ok"
    lacking, _ = look(cases, plan, label_map={1: ("netc", "et")})
    assert (lacking["data"].level, "none of its label values is snfh" in lacking["data"].finding) == ("fail", True)
    unplanned, _ = look(cases, None, label_map={1: ("netc", "et")})
    assert unplanned["unusable cases"].level == "ok"


def test_labels_without_a_lesion_are_doubted(cases: Path) -> None:
    for number in range(5):
        write_nifti(cases / f"p{number}" / "seg.nii.gz", np.zeros((12, 12, 12), np.uint8))
    assert look(cases)[0]["label values"].level == "warn"


def test_sizes_are_checked_without_reading_voxels(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = cases / "p0" / "t1c.nii"
    plain.write_bytes(gzip.decompress((cases / "p0" / "t1c.nii.gz").read_bytes()))
    (cases / "p0" / "t1c.nii.gz").unlink()
    pieces = (cases / "p1" / "t1c.nii.gz").read_bytes()
    whole = gzip.decompress(pieces)
    (cases / "p1" / "t1c.nii.gz").write_bytes(gzip.compress(whole[:500]) + gzip.compress(whole[500:]))
    assert look(cases)[0]["unusable cases"].level == "ok"  # compressed in two pieces is legal, and read to be sure
    truncate(plain)
    assert "1 truncated-file" in look(cases)[0]["unusable cases"].finding


def test_a_dataset_too_large_for_the_time_says_how_far_it_came(cases: Path) -> None:
    data = DataSection(adapter="nifti_folders", root=cases, sequences={"t1c": "t1c.nii.gz"}, label="seg.nii.gz")
    ticks = itertools.count()
    findings, survey = check_data(data, PLAN, 3.5, clock=lambda: float(next(ticks)))
    assert findings[0].finding.endswith("files and headers of 3 looked at within 4 s")
    assert findings[3].finding == "none; 0 labels read within 4 s"
    assert survey is not None
    assert survey.cache_bytes == 5 * (12**3 * 6 + 12**3)
    ticks = itertools.count()
    findings, _ = check_data(data, PLAN, 7.5, clock=lambda: float(next(ticks)))
    assert findings[3].finding == "0 in 2, 1 in 2; 2 labels read within 8 s"


def test_a_root_that_is_not_there_and_labels_that_do_not_fit(tmp_path: Path, cases: Path) -> None:
    found, survey = look(tmp_path / "nowhere")
    assert (found["data"].level, survey) == ("fail", None)
    assert "no such folder" in found["data"].finding
    assert "label_map" in look(cases, label_map={1: 2})[0]["data"].finding
