"""A run that is killed at four moments and resumed each time ends in the undisturbed run's bits."""

import json
import os
import signal
from pathlib import Path

import pytest

from server.cli import run_checks
from tests.end_to_end.tiny import Command, Ran, all_end, last_models, phantom_config

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watches processes as Linux lets one")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def interrupt_group(pid: int) -> None:
    """As Ctrl-C at a terminal: every process of the run gets it."""
    os.killpg(pid, signal.SIGINT)


def test_a_run_killed_again_and_again_ends_in_the_same_bits(tmp_path: Path, undisturbed: Ran) -> None:
    config, out = phantom_config(tmp_path), tmp_path / "out"

    run = Command(config, out, "--workers", "2")
    run.wait_for("phantoms 4/10")
    workers = run.children()
    assert run.end(kill)[0] == -signal.SIGKILL
    assert len(workers) >= 2
    assert all_end(workers, timeout_s=30)

    run = Command(config, out)
    run.wait_for("federated 1/3")
    assert run.end(kill)[0] == -signal.SIGKILL
    assert not (out / "baselines").exists()

    run = Command(config, out, "--workers", "2")
    run.wait_for("baselines 4/12")
    workers = run.children()
    code, stdout, stderr = run.end(interrupt_group)
    assert (code, stdout) == (130, ""), stderr
    assert stderr.splitlines()[-1].startswith("fedmets-sim: interrupted; the same command goes on")
    assert "Traceback" not in stderr
    assert all_end(workers, timeout_s=30)

    run = Command(config, out)
    run.wait_for("evaluation 2/15")
    assert run.end(kill)[0] == -signal.SIGKILL
    assert not (out / "result.json").exists()

    code, stdout, stderr = Command(config, out, "--json").end()
    assert (code, stderr) == (0, "")
    events = [json.loads(line) for line in stdout.splitlines()]
    assert {event["stage"] for event in events if event["event"] == "step"} == {"preprocessing", "evaluation"}
    assert events[-1] == {"event": "result", "status": "completed", "path": str(out / "result.json")}

    assert last_models(out) == last_models(undisturbed.folder)
    result = json.loads((out / "result.json").read_bytes())
    assert result["model"] == undisturbed.result["model"]
    assert result["arms"] == undisturbed.result["arms"]
    assert all(check.holds for check in run_checks(out))
