"""One measurement: a real one, one that lacks memory, one that lacks time, and what is made of their words."""

import json
import os
from collections.abc import Mapping

import pytest

from common.plan import ModelSpec
from common.processes import descendants
from simulation.models.trial import Settings, measure_step, plan_for, read_events

TINY = ModelSpec(name="unet_small", channels=(4, 8))
CPU = Settings(device="cpu", timeout_s=120.0)


def _lines(*events: Mapping[str, object]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


RECKONED = {"event": "reckoned", "peak_bytes": 41_000_000_000}
STEP = {"event": "steps", "seconds": 2.5, "peak_bytes": 7_000_000}


def test_a_small_network_is_measured() -> None:
    figures = measure_step(TINY, 16, CPU)
    assert (figures.outcome, figures.text) == ("measured", "")
    assert figures.seconds is not None and 0 < figures.seconds < 60
    assert figures.peak_bytes is not None and 0 < figures.peak_bytes < 2e9


def test_what_takes_more_than_allowed_is_said_to_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.models.trial.room_bytes", lambda: 30_000_000)
    figures = measure_step(ModelSpec(name="cnn"), 64, CPU)  # 32 channels of 64 cubed are 34 MB
    assert figures.outcome == "does-not-fit"
    assert figures.text.endswith("30 MB were allowed")
    assert figures.seconds is None


def test_a_measurement_that_takes_too_long_is_ended() -> None:
    others = set(descendants(os.getpid()))  # such as a helper of multiprocessing that an earlier test began
    figures = measure_step(TINY, 16, Settings(device="cpu", timeout_s=0.1))
    assert (figures.outcome, figures.text) == ("timeout", "no step ended within 0.1 s")
    assert set(descendants(os.getpid())) <= others


def test_a_patch_that_the_network_cannot_take_needs_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    figures = measure_step(ModelSpec(name="vnet"), 40, CPU)
    assert figures.outcome == "refused"
    assert "instead of 40 take 32 or 48" in figures.text


def test_words_of_a_measurement_become_figures() -> None:
    measured = read_events(_lines(RECKONED, STEP, {**STEP, "seconds": 2.0}), 64)
    assert (measured.outcome, measured.seconds, measured.reckoned_bytes) == ("measured", 2.0, 41_000_000_000)
    late = read_events(_lines(RECKONED, STEP) + '{"event": "st', 64, "no step", timed_out=True)
    assert (late.outcome, late.seconds) == ("measured", 2.5)  # the first step was made in time
    full = {"event": "failed", "code": "out-of-memory", "text": "full"}
    lacking = read_events(_lines(RECKONED, {"event": "room", "bytes": 9_000_000_000}, full), 128)
    assert (lacking.outcome, lacking.text) == ("does-not-fit", "needs about 41.0 GB, 9.0 GB were allowed")
    killed = read_events(_lines(RECKONED), 128, "killed by SIGKILL")
    assert (killed.outcome, killed.text) == ("died", "killed by SIGKILL")
    other = read_events(_lines({**full, "code": "refused", "text": "no such GPU"}), 64)
    assert (other.outcome, other.text) == ("refused", "no such GPU")


def test_it_is_measured_on_four_sequences_and_four_classes() -> None:
    plan = plan_for(ModelSpec(), 64, Settings(batch=2))
    assert (plan.in_channels, plan.out_channels) == (4, 4)
    assert (plan.training.batch_size, plan.training.patch_size) == (2, (64, 64, 64))
