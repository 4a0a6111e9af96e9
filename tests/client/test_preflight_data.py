"""What the preflight says of cases on disk, good and bad, in the time it has."""

import gzip
import itertools
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from client.data.survey import Survey
from client.data.survey_pass import spread
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
    assert found["label values"].finding == "0 in 5, 1 in 5; 5 of 5 labels read"
    assert found["voxels"].finding == "all of every case read"
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
    assert without_plan["label values"].finding == "0 in 56, 1 in 56, 7 in 1; 57 of 60 labels read"


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


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is known how often the clock was looked at before each case."""
    monkeypatch.setattr("client.data.survey._HEADER_THREADS", 1)
    monkeypatch.setattr("client.data.survey._VOXEL_THREADS", 1)


def slow(cases: Path, limit_s: float) -> tuple[dict[str, Finding], Survey]:
    """What is said when the clock moves on by half a second whenever it is looked at."""
    data = DataSection(adapter="nifti_folders", root=cases, sequences={"t1c": "t1c.nii.gz"}, label="seg.nii.gz")
    ticks = itertools.count(0.0, 0.5)
    findings, survey = check_data(data, PLAN, limit_s, clock=lambda: next(ticks))
    assert survey is not None
    return {finding.what: finding for finding in findings}, survey


def test_files_that_could_not_be_opened_in_time_are_no_ok(cases: Path, one_at_a_time: None) -> None:
    found, survey = slow(cases, 2.25)
    assert (found["cases"].level, survey.opened) == ("warn", 3)
    assert found["cases"].finding.endswith("files of only 3 opened within 2 s, evenly spread over all")
    assert "fedmets-site check --all" in found["cases"].advice
    assert found["label values"].finding == "none; 0 of 5 labels read"
    assert (found["voxels"].level, found["voxels"].finding) == ("warn", "0 of 5 cases read whole within 2 s")
    assert survey.cache_bytes == 5 * (12**3 * 6 + 12**3)


def test_a_sample_is_read_whole_and_said_to_be_one(cases: Path, one_at_a_time: None) -> None:
    found, survey = slow(cases, 9.75)
    assert (survey.opened, survey.labels_read, survey.read_whole) == (5, 4, 2)
    assert {finding.level for finding in found.values()} == {"ok"}
    assert found["cases"].finding.endswith("files, headers and sizes of all looked at")
    assert found["label values"].finding == "0 in 4, 1 in 4; 4 of 5 labels read"
    assert found["voxels"].finding.startswith("2 of 5 cases read whole within 10 s, evenly spread over all")


def test_voxels_that_are_damaged_behind_a_sound_header_are_found(cases: Path) -> None:
    write_case(cases, "p1", constant=True)
    packed = bytearray((cases / "p2" / "t1c.nii.gz").read_bytes())
    packed[-8] ^= 0xFF  # the checksum; the size behind it is as it was
    (cases / "p2" / "t1c.nii.gz").write_bytes(packed)
    found, survey = look(cases)
    assert survey is not None and survey.complete
    assert found["unusable cases"].finding.startswith("1 constant-image, 1 unreadable-file: 40.0%")
    assert [bad.exam for bad in survey.bad] == ["p1", "p2"]


def test_what_hangs_is_left_behind_and_not_counted(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    def read(path: Path, exam: str) -> None:
        if exam == "p1":
            end.wait(30.0)

    monkeypatch.setattr("client.data.survey.read_image", read)
    monkeypatch.setattr("client.data.survey._VOXEL_THREADS", 2)
    data = DataSection(adapter="nifti_folders", root=cases, sequences={"t1c": "t1c.nii.gz"}, label="seg.nii.gz")
    try:
        findings, survey = check_data(data, PLAN, 3.0)
    finally:
        end.set()
    assert survey is not None
    assert (survey.opened, survey.labels_read, survey.read_whole, survey.complete) == (5, 5, 4, False)
    assert {finding.what: finding.level for finding in findings}["cases"] == "ok"


def test_every_pass_is_told_of_case_by_case(cases: Path) -> None:
    told: list[str] = []
    data = DataSection(adapter="nifti_folders", root=cases, sequences={"t1c": "t1c.nii.gz"}, label="seg.nii.gz")
    _, survey = check_data(data, PLAN, tell=told.append)
    assert survey is not None and survey.complete
    assert sorted(told) == sorted(f"{what} {n}/5" for what in ("headers", "labels", "images") for n in range(1, 6))


def test_every_beginning_of_the_order_is_spread_over_all() -> None:
    assert spread(8) == [0, 4, 2, 6, 1, 5, 3, 7]
    assert [spread(count) for count in (0, 1, 2, 5)] == [[], [0], [0, 1], [0, 4, 2, 1, 3]]
    order = spread(3000)
    assert sorted(order) == list(range(3000))
    gaps = np.diff(sorted(order[:30]), prepend=0, append=3000)
    assert gaps.max() <= 2 * 3000 / 30


def test_a_root_that_is_not_there_and_labels_that_do_not_fit(tmp_path: Path, cases: Path) -> None:
    found, survey = look(tmp_path / "nowhere")
    assert (found["data"].level, survey) == ("fail", None)
    assert "no such folder" in found["data"].finding
    assert "label_map" in look(cases, label_map={1: 2})[0]["data"].finding
