"""The trial of a plan's network: a process of its own, judged by the plan's deadline and this machine's memory."""

import io
import json
from typing import Any

import pytest

from client.machine import Memory, main_memory
from client.memory_estimate import step_memory
from client.preflight_compute import DEFAULT_PLAN, TrialProcess, judge_trial, read_trial
from client.preflight_trial import main, run_trial
from common.errors import ConfigError
from common.plan import Plan
from tests.client.test_preparing import PLAN

SMALL = PLAN.model_copy(update={"training": PLAN.training.model_copy(update={"patch_size": (8, 8, 8)})})
ROOM = Memory(total=64 * 10**9, available=32 * 10**9)
DEVICE = {"event": "device", "device": "cpu", "name": "CPU", "free_bytes": None, "cuda": None, "gpus": 0}
NEEDED = {"event": "memory", "parameters": 31_192_068, "peak_bytes": 1_900_000_000, "half_precision": False}


def judged(
    *events: dict[str, Any], plan: Plan | None = PLAN, memory: Memory = ROOM, crash: str = ""
) -> dict[str, tuple[str, str]]:
    said = "\n".join(json.dumps(event) for event in events)
    return {one.what: (one.level, one.finding) for one in judge_trial(read_trial(said, crash), plan, memory)}


def test_a_trial_measures_steps_on_this_machine() -> None:
    events: list[dict[str, Any]] = []
    run_trial(SMALL, "cpu", 60.0, events.append)
    assert [event["event"] for event in events][:3] == ["device", "memory", "small"]
    assert [event["steps"] for event in events if event["event"] == "steps"][:2] == [1, 2]
    assert all(event["seconds"] > 0.0 for event in events if "seconds" in event)


def test_the_trial_process_says_the_same_and_ends() -> None:
    with TrialProcess() as process:
        trial = process.run(SMALL, "cpu", 60.0)
    assert (trial.crash, trial.extrapolated) == ("", False)
    assert trial.seconds_a_step is not None and trial.seconds_a_step < 10.0
    assert trial.events["memory"]["parameters"] == step_memory(SMALL, False).parameters


def test_the_trial_process_is_killed_when_its_time_is_up() -> None:
    with TrialProcess() as process:
        trial = process.run(DEFAULT_PLAN, "cpu", 0.05)
    assert (trial.events, trial.crash) == ({}, "")
    assert judge_trial(trial, PLAN, ROOM)[0].finding == "the trial process says: it did not start in time"


def test_a_device_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = {"plan": SMALL.to_json(), "device": "cuda:9", "limit_s": 1.0}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
    main()
    (finding,) = judge_trial(read_trial(capsys.readouterr().out), SMALL, ROOM)
    assert (finding.what, finding.level) == ("device", "fail")
    assert "cuda:9" in finding.finding


def test_a_round_is_held_against_its_deadline() -> None:
    steps = PLAN.training.steps  # 50, in 3600 s
    for seconds, level in ((1.0, "ok"), (40.0, "warn"), (80.0, "fail")):
        found = judged(DEVICE, NEEDED, {"event": "steps", "steps": 2, "seconds": 2 * seconds})["training speed"]
        assert found[0] == level
        assert f"a round of {steps} steps takes about {steps * seconds:.0f} s of its 3600 s" in found[1]


def test_without_a_plan_nothing_of_it_can_fail() -> None:
    slow = {"event": "steps", "steps": 1, "seconds": 1000.0}
    tight = Memory(total=4 * 10**9, available=10**9)
    found = judged(DEVICE, NEEDED, slow, plan=None, memory=tight)
    assert {level for level, _ in found.values()} == {"ok", "warn"}
    assert "the default plan, none being proposed here yet" in found["training speed"][1]
    assert judged(DEVICE, NEEDED, slow, memory=tight)["main memory"][0] == "fail"


def test_a_slow_machine_is_judged_by_its_smallest_patch() -> None:
    found = judged(DEVICE, NEEDED, {"event": "small", "seconds": 1.5, "share": 0.125})["training speed"]
    assert found[1].startswith("plan 'small': 0.0833 steps a second, reckoned from a small patch; a round of 50")
    assert judged(DEVICE, NEEDED)["training speed"][0] == "fail"


def test_a_gpu_that_is_too_small_and_one_that_fits() -> None:
    gpu = {**DEVICE, "device": "cuda:0", "name": "Example", "free_bytes": 1_800_000_000, "cuda": "12.8", "gpus": 1}
    found = judged(gpu, NEEDED)
    assert found["device"] == ("ok", "cuda:0 Example, 1.8 GB free, CUDA 12.8")
    assert found["GPU memory"] == ("fail", "31.2 million parameters need about 1.9 GB, 1.8 GB are free")
    assert found["main memory"][0] == "ok"
    assert judged({**gpu, "free_bytes": 2_000_000_000}, NEEDED)["GPU memory"][0] == "warn"
    assert judged({**gpu, "free_bytes": 2 * 10**10}, NEEDED)["GPU memory"][0] == "ok"


def test_a_trial_that_dies_or_runs_out_of_memory_is_a_finding() -> None:
    died = judged(DEVICE, NEEDED, crash="killed by SIGKILL")["training"]
    assert died == ("fail", "the trial process died: killed by SIGKILL")
    failed = judged(DEVICE, NEEDED, {"event": "failed", "code": "out-of-memory", "text": "it does not fit"})
    assert failed["training"] == ("fail", "it does not fit")
    assert judged(DEVICE)["training speed"][0] == "fail"


def test_a_line_cut_short_is_passed_over() -> None:
    trial = read_trial(json.dumps(DEVICE) + '\n{"event": "mem')
    assert set(trial.events) == {"device"}


def test_memory_of_the_default_network_is_reckoned_without_taking_it() -> None:
    whole, half = step_memory(DEFAULT_PLAN, False), step_memory(DEFAULT_PLAN, True)
    assert whole.parameters == 31_192_002
    assert whole.model_bytes == 4 * 31_192_002
    assert 1.2e9 < half.peak_bytes < whole.peak_bytes < 2.0e9  # 1.28 GB were measured, see the module
    spec = DEFAULT_PLAN.training
    larger = DEFAULT_PLAN.model_copy(
        update={"training": spec.model_copy(update={"patch_size": (128, 128, 128), "optimizer": "adamw"})}
    )
    assert step_memory(larger, False).peak_bytes > 5 * whole.peak_bytes
    with pytest.raises(ConfigError):
        step_memory(
            DEFAULT_PLAN.model_copy(update={"model": DEFAULT_PLAN.model.model_copy(update={"channels": (8, 16)})}),
            False,
        )


def test_main_memory_is_read_as_the_kernel_writes_it(tmp_path: Any) -> None:
    file = tmp_path / "meminfo"
    file.write_text(
        "MemTotal:       24689764 kB\nMemFree:  1 kB\nMemAvailable:   23068672 kB\nHugePages_Total: 0\n"
    )
    assert main_memory(file) == Memory(24689764 * 1024, 23068672 * 1024)
    assert main_memory(tmp_path / "none") is None
    file.write_text("MemTotal: x kB\n")
    assert main_memory(file) is None
