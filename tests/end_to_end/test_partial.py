"""Runs in which a site's work is missing: the others go on, and the end says so."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from common.protocol import SiteReply, TrainTask
from server.records import EXIT_CODES
from simulation.link import train_job
from tests.end_to_end.tiny import Ran, data_config, run_here

FIRST_EXAMS = ("110001A", "111001A", "112001A")


@pytest.fixture
def cases(tmp_path: Path, cohort: Path) -> Path:
    """A cohort to be spoiled."""
    return Path(shutil.copytree(cohort, tmp_path / "cases"))


def image(cases: Path, exam: str) -> Path:
    return next(cases.rglob(f"{exam}_T1post.nii.gz"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def exit_code(ran: Ran) -> int:
    assert ran.finished.status == ran.result["status"]
    return EXIT_CODES[ran.finished.status]


def test_a_site_with_too_many_bad_cases_refuses_and_the_others_go_on(tmp_path: Path, cases: Path) -> None:
    truncate(image(cases, "112001A"))
    ran = run_here(data_config(tmp_path, cases), tmp_path / "out")
    assert exit_code(ran) == 3
    assert ran.outcomes("west") == [("refused", "too-many-bad-cases")] * 3
    assert ran.outcomes("north") == ran.outcomes("south") == [("accepted", None)] * 3
    assert ran.result["quarantine"] == {"north": {}, "south": {}, "west": {"truncated-file": 1}}
    assert set(ran.result["arms"]["local"]["cross_site"]) == {"north", "south"}
    assert "case 112001A put aside: truncated-file" in ran.told
    assert "west refused (too-many-bad-cases) in round 1" in ran.finished.text


def test_a_site_without_training_cases_refuses_and_the_others_go_on(tmp_path: Path, cases: Path) -> None:
    for exam in ("112001A", "112002A", "112003A"):
        image(cases, exam).write_bytes(b"")
    config = data_config(tmp_path, cases, ("[federation]", "[quality]\nmax_bad_share = 1.0\n\n[federation]"))
    ran = run_here(config, tmp_path / "out", ("federated",))
    assert exit_code(ran) == 3
    assert ran.outcomes("west") == [("refused", "no-training-cases")] * 3
    assert ran.outcomes("north") == [("accepted", None)] * 3
    assert ran.result["quarantine"]["west"] == {"zero-byte-file": 3}
    assert ran.result["arms"]["federated"]["per_site"]["west"]["dice"] is None


def test_a_run_in_which_no_site_can_train_has_failed(tmp_path: Path, cases: Path) -> None:
    for exam in FIRST_EXAMS:
        truncate(image(cases, exam))
    ran = run_here(data_config(tmp_path, cases), tmp_path / "out")
    assert exit_code(ran) == 1
    assert (ran.result["model"], ran.result["arms"]) == (None, {})
    assert [one["advanced"] for one in ran.result["rounds"]] == [False] * 3
    assert "the model stays as it was" in ran.told
    assert not (tmp_path / "out" / "model").exists()
    assert "not a medical device" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_without_a_federation_the_local_models_say_how_it_ended(tmp_path: Path, cases: Path) -> None:
    truncate(image(cases, FIRST_EXAMS[0]))
    some = run_here(data_config(tmp_path, cases), tmp_path / "some", ("pooled",))
    assert exit_code(some) == 3
    assert not (tmp_path / "some" / "model").exists()  # no federated model, no card
    for exam in FIRST_EXAMS[1:]:
        truncate(image(cases, exam))
    none = run_here(data_config(tmp_path, cases), tmp_path / "none", ("local", "pooled"))
    assert exit_code(none) == 1


def test_a_diverging_experiment_fails_in_order(tmp_path: Path, cohort: Path) -> None:
    config = data_config(
        tmp_path,
        cohort,
        ('optimizer = "adamw"', 'optimizer = "sgd"\ngradient_clip_norm = 1e30'),
        ("learning_rate = 0.003", "learning_rate = 1e20"),
    )
    ran = run_here(config, tmp_path / "out")
    assert exit_code(ran) == 1
    assert ran.outcomes("south") == [("failed", "not-finite-loss")] * 3
    assert "baseline pooled is left out: training failed: not-finite-loss" in ran.told
    assert (
        "round 1 at site south: training failed: not-finite-loss" in (tmp_path / "out" / "sites.log").read_text()
    )


def test_two_workers_give_the_bits_of_one_and_a_dead_one_costs_its_own_site_a_round(
    tmp_path: Path, cohort: Path, undisturbed: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulation.link.train_job", train_or_die)
    ran = run_here(data_config(tmp_path, cohort), tmp_path / "out", ("federated",), workers=2)
    assert exit_code(ran) == 3
    models, expected = (
        [one["model_sha256"] for one in result["rounds"]] for result in (ran.result, undisturbed.result)
    )
    assert models[0] == expected[0]
    assert models[1] != expected[1]
    assert ran.outcomes("south") == [("accepted", None), ("failed", "worker-died"), ("accepted", None)]
    assert ran.outcomes("north") == ran.outcomes("west") == [("accepted", None)] * 3


def train_or_die(folder: Path, site: str, task: TrainTask) -> SiteReply:
    """As the system kills a process when memory runs out: in the second round, at one site."""
    if (site, task.round_id) == ("south", 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return train_job(folder, site, task)
