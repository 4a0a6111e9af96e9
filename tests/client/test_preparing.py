"""A site's own cases: pinned for a plan, prepared once, refused when they change under it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.case_list import SiteCases, forget_cases, pinned_cases
from client.data.splits import patient_hash, role_of
from client.preparing import prepare_site
from client.site import Site
from common.config import DataSection
from common.errors import DataError, SiteRefusal
from common.plan import Plan, SplitSpec
from tests.nifti import write_nifti

PLAN = Plan.model_validate(
    {
        "name": "small",
        "sequences": ("t1c",),
        "sites": ("north",),
        "split": {"test": 0.3, "validation": 0.2},
        "preprocessing": {"spacing_mm": (4.0, 4.0, 4.0)},
        "model": {"name": "unet_small", "channels": (2, 4)},
    }
)


def write_case(root: Path, patient: str, seed: int = 1, constant: bool = False) -> None:
    brain = np.zeros((12, 12, 12), np.float32)
    brain[2:10, 2:10, 2:10] = np.random.default_rng(seed).uniform(50.0, 150.0, (8, 8, 8))
    label = np.zeros(brain.shape, np.uint8)
    label[5:7, 5:7, 5:7] = 1
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    write_nifti(root / patient / "t1c.nii.gz", np.full_like(brain, 7.0) if constant else brain, affine)
    write_nifti(root / patient / "seg.nii.gz", label, affine)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        write_case(tmp_path / "cases", f"p{number}", seed=number)
    write_case(tmp_path / "cases", "q0", constant=True)
    return tmp_path


def prepare(folder: Path, plan: Plan = PLAN, told: list[str] | None = None) -> Site:
    data = DataSection(
        adapter="nifti_folders", root=folder / "cases", sequences={"t1c": "t1c.nii.gz"}, label="seg.nii.gz"
    )
    say = (lambda _: None) if told is None else told.append
    return prepare_site("north", plan, data, "cpu", folder / "cache", folder / "plans", say)


def pinned(folder: Path) -> SiteCases:
    cases = pinned_cases(folder / "plans" / PLAN.fingerprint() / "cases.json")
    assert cases is not None
    return cases


def exams(site: Site) -> list[list[str]]:
    return [[case.exam for case in role] for role in (site.training_cases, site.validation_cases, site.test_cases)]


def test_a_bad_case_is_counted_and_told(folder: Path) -> None:
    told: list[str] = []
    site = prepare(folder, told=told)
    assert (sum(map(len, exams(site))), dict(site.quarantined)) == (6, {"constant-image": 1})
    assert [line for line in told if line.startswith("case q0 put aside: constant-image")]
    assert told.count("preprocessing 7/7") == 1
    assert site.state == folder / "plans"


def test_opened_again_nothing_is_prepared_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = exams(prepare(folder))

    def unwanted(*_: object) -> None:
        raise AssertionError("prepared again")

    monkeypatch.setattr("client.data.cache.prepare", unwanted)
    assert exams(prepare(folder)) == first


def test_an_emptied_cache_is_filled_again(folder: Path) -> None:
    first = exams(prepare(folder))
    shutil.rmtree(folder / "cache")
    assert exams(prepare(folder)) == first


def test_a_case_added_later_waits_for_the_next_plan(folder: Path) -> None:
    first = prepare(folder)
    write_case(folder / "cases", "a-new-one")
    write_case(folder / "cases", "q0")  # and a bad one was mended
    told: list[str] = []
    again = prepare(folder, told=told)
    assert exams(again) == exams(first)
    assert again.quarantined == first.quarantined
    assert told == ["1 cases were added since this plan began here; they wait for the next plan"]
    other = PLAN.model_copy(update={"seed": 2})
    assert sum(map(len, exams(prepare(folder, other)))) == 8


@pytest.mark.parametrize(("change", "fault"), [("gone", "gone"), ("altered", "altered"), ("bad", "constant")])
def test_a_case_that_changed_ends_the_work_until_it_is_approved_anew(
    folder: Path, change: str, fault: str
) -> None:
    before = prepare(folder)
    list_before = pinned(folder)
    if change == "gone":
        shutil.rmtree(folder / "cases" / "p1")
    else:
        write_case(folder / "cases", "p1", seed=99, constant=change == "bad")
    with pytest.raises(SiteRefusal, match=rf"1 of 6 cases .* \(p1.* {fault}.*fedmets-site approve") as refused:
        prepare(folder)
    assert refused.value.code == "cases-changed"
    assert pinned(folder) == list_before
    forget_cases(folder / "plans" / PLAN.fingerprint())
    after = prepare(folder)
    assert (exams(after) == exams(before)) == (change == "altered")
    assert pinned(folder) != list_before


@pytest.mark.parametrize(
    ("labels", "label_map", "words"),
    [
        (("tumour",), {1: 1, 2: 2}, "2 = 2 goes beyond the plan's 1 label"),
        (("netc", "et"), {1: ("netc", "et"), 2: "oedema"}, "names 'oedema', the plan has"),
        (("netc", "et"), {1: "et"}, "none of its label values is netc, which the plan segments"),
    ],
)
def test_labels_that_cannot_serve_a_plan_are_a_refusal_of_their_own(
    folder: Path, labels: tuple[str, ...], label_map: dict[int, Any], words: str
) -> None:
    data = DataSection.model_validate(
        {"adapter": "nifti_folders", "root": folder, "sequences": {"t1c": "t1c.nii.gz"}, "label_map": label_map}
    )
    plan = PLAN.model_copy(update={"labels": labels})
    with pytest.raises(SiteRefusal, match=words) as refused:
        prepare_site("north", plan, data, "cpu", folder / "cache", folder / "plans", lambda _: None)
    assert refused.value.code == "labels-do-not-fit"
    assert not (folder / "plans").exists() and not (folder / "cache").exists()


def test_a_damaged_list_is_refused(folder: Path) -> None:
    prepare(folder)
    (folder / "plans" / PLAN.fingerprint() / "cases.json").write_text("{")
    with pytest.raises(DataError, match="approve the plan again"):
        prepare(folder)


def test_a_site_without_a_usable_case_opens_empty_and_its_policy_refuses(folder: Path) -> None:
    for number in range(6):
        write_case(folder / "cases", f"p{number}", constant=True)
    site = prepare(folder)
    assert (exams(site), site.bad_share) == ([[], [], []], 1.0)


def test_a_site_alone_gives_no_training_patient_away(folder: Path) -> None:
    """Rule 2 of the split is the federation's: a hospital cannot know that nobody else tests."""
    plan = PLAN.model_copy(update={"split": SplitSpec(test=1e-9, validation=0.0)})
    assert [len(role) for role in exams(prepare(folder, plan))] == [6, 0, 0]


def test_a_bad_case_trains_nobody_so_another_patient_does(folder: Path) -> None:
    roles = {f"p{number}": role_of(f"p{number}", PLAN.split) for number in range(6)}
    for patient, role in roles.items():
        if role == "train":
            write_case(folder / "cases", patient, constant=True)
    others = [patient for patient, role in roles.items() if role != "train"]
    site = prepare(folder)
    assert [case.exam for case in site.training_cases] == [
        min(others, key=lambda p: patient_hash(p, PLAN.split.salt))
    ]
    assert sum(map(len, exams(site))) == len(others) >= 2


def test_what_cases_lack_and_have_is_counted_and_told(folder: Path) -> None:
    lacking = PLAN.model_copy(update={"sequences": ("t1c", "flair")})
    told: list[str] = []
    site = prepare(folder, lacking, told)
    assert (exams(site), dict(site.lacking)) == ([[], [], []], {"flair": 7})
    assert told[-1].startswith("7 of 7 cases lack flair, which the plan requires: add the files")
    optional = lacking.model_copy(update={"optional_sequences": ("flair",)})
    site = prepare(folder, optional)
    assert ({case.absent_channels for case in site.training_cases}, dict(site.lacking)) == ({(1,)}, {})
    counted = pinned_cases(folder / "plans" / optional.fingerprint() / "cases.json")
    assert counted is not None and counted.sequences == {"t1c": 6, "flair": 0}
