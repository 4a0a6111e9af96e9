"""A finished folder met again: damaged, with other arms, by another configuration, with other cases."""

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.cli import run_app
from simulation.cli import app
from tests.end_to_end.tiny import Ran, data_config, last_models, phantom_config, run_here


@pytest.fixture
def finished(tmp_path: Path, undisturbed: Ran) -> Iterator[Path]:
    """A copy of the undisturbed run's folder."""
    yield Path(shutil.copytree(undisturbed.folder, tmp_path / "out"))


def damage(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def run_command(*argv: str | Path) -> int:
    return run_app(app, "fedmets-sim", ["run", *map(str, argv)])


def test_a_damaged_checkpoint_costs_its_round_alone(
    tmp_path: Path, finished: Path, undisturbed: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(finished / "rounds" / "round-0003" / "model.safetensors")
    damage(finished / "baselines" / "pooled" / "round-0003" / "optimizer.safetensors")
    assert run_command(phantom_config(tmp_path), "--out", finished) == 0
    stderr = capsys.readouterr().err
    assert stderr.count("does not match the manifest; the file is damaged; going on from round 2") == 2
    assert "the damaged commit is now corrupt-round-0003" in stderr
    assert "federated 3/3" in stderr
    assert "federated 2/3" not in stderr
    assert last_models(finished) == last_models(undisturbed.folder)


def test_without_a_whole_checkpoint_the_run_is_refused(
    tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for commit in (finished / "rounds").glob("round-*"):
        damage(commit / "state.json")
    assert run_command(phantom_config(tmp_path), "--out", finished) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"fedmets-sim: error: {finished / 'rounds'}: none of its 4 commits is whole")
    assert "start again with an empty folder" in last


def test_seconds_add_up_over_invocations(tmp_path: Path, finished: Path, undisturbed: Ran) -> None:
    before, after = (
        undisturbed.result["seconds"],
        run_here(phantom_config(tmp_path), finished, ("federated",)).result["seconds"],
    )
    assert all(after[part] >= before[part] for part in before)
    assert after["train"] == before["train"]  # nothing was trained
    assert after["total"] > before["total"]


def test_arms_are_added_one_by_one(tmp_path: Path, cohort: Path, undisturbed: Ran) -> None:
    config, out = data_config(tmp_path, cohort), tmp_path / "out"
    alone = run_here(config, out, ("local",))
    assert (alone.finished.status, alone.result["model"], list(alone.result["arms"])) == (
        "completed",
        None,
        ["local"],
    )
    assert not (out / "model").exists()

    federated = run_here(config, out, ("federated",))
    assert list(federated.result["arms"]) == ["federated"]
    assert "baselines" not in federated.told

    every = run_here(config, out)
    assert list(every.result["arms"]) == ["federated", "local", "pooled"]
    assert every.told.count("evaluation") == 3  # of the pooled model; the others' scores are known
    assert every.result["model"] == federated.result["model"] == undisturbed.result["model"]
    assert every.result["rounds"] == federated.result["rounds"]
    assert every.result["arms"] == undisturbed.result["arms"]


def test_a_folder_of_another_configuration_is_refused(
    tmp_path: Path, undisturbed: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    config = phantom_config(tmp_path, ("patients = 4", "patients = 5"), ("steps = 2", "steps = 4"))
    assert run_command(config, "--out", undisturbed.folder) == 2
    assert capsys.readouterr().err == (
        f"fedmets-sim: error: {undisturbed.folder}: holds a run of another configuration "
        "(phantom.sites.0.patients was 4, is 5); choose another --out\n"
    )


def test_a_folder_in_use_is_refused(tmp_path: Path, undisturbed: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    with (undisturbed.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run_command(phantom_config(tmp_path), "--out", undisturbed.folder) == 2
    assert capsys.readouterr().err == (
        f"fedmets-sim: error: {undisturbed.folder}: another run is writing here; wait for it or choose another "
        "--out\n"
    )


def test_cases_that_changed_meanwhile_are_refused(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(cohort, tmp_path / "cases"))
    config, out = data_config(tmp_path, own), tmp_path / "out"
    run_here(config, out, ("federated",))
    next(own.rglob("112001A_T1post.nii.gz")).write_bytes(b"")
    assert run_command(config, "--out", out) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"fedmets-sim: error: {out}: the cases of site west have changed since this run began (3 usable then, "
        "2 now); restore them to go on, or choose another --out"
    )
