"""plan, start, resume, stop and release as they are typed, and approve, refuse and plans at the hospital."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import client.cli
import server.cli
from common.cli import run_app
from server.plans import pick_plan
from server.rounds import run_federation
from server.run_folder import RunFolder
from tests.server.builders import FakeLink, open_run
from tests.trust import Lab, make_lab

PLAN = """
name = "first"
sites = ["north", "south"]
sequences = ["t1c"]

[model]
name = "unet_small"
channels = [2, 4]

[training]
steps = 5
patch_size = [8, 8, 8]

[federation]
rounds = 3
up = "int8"
"""


@dataclass(frozen=True)
class Desk:
    """Both commands, and what they printed."""

    lab: Lab
    capsys: pytest.CaptureFixture[str]

    def server(self, *argv: str) -> tuple[int, str, str]:
        return self._run(run_app(server.cli.app, "fedmets-server", argv))

    def site(self, *argv: str) -> tuple[int, str, str]:
        return self._run(run_app(client.cli.app, "fedmets-site", argv))

    def _run(self, code: int) -> tuple[int, str, str]:
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err

    def sign(self) -> str:
        code, out, err = self.server("plan", "lab/fed", "plan.toml", "--json")
        assert (code, err) == (0, "")
        return str(json.loads(out)["plan_id"])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A federation of today, since the commands look at the clock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMETS_PASSPHRASE_FILE", raising=False)
    now = datetime.now(UTC)
    monkeypatch.setattr("tests.trust.DAY_0", now)
    lab = make_lab(tmp_path / "lab")
    for site in ("north", "south"):
        lab.add(site, now)
    (tmp_path / "plan.toml").write_text(PLAN)
    return Desk(lab, capsys)


def test_a_plan_says_what_runs_what_comes_and_what_leaves(desk: Desk) -> None:
    code, out, err = desk.server("plan", "lab/fed", "plan.toml")
    assert (code, err) == (0, "")
    assert "3 rounds of 5 steps with sgd, 2 patches of 8 x 8 x 8 voxels, network unet_small [2, 4]" in out
    assert "weights as float32" in out and "numbers as int8" in out
    assert "never: images, labels, file names" in out
    assert out.splitlines()[-1].startswith("next: fedmets-server start lab/fed ")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"south"', '"east"', "sites that cannot take part: east (not enrolled)"),
        ("rounds = 3", "round = 3", "'federation.round'"),
        ("[8, 8, 8]", "[9, 9, 9]", "patch"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_one_line(desk: Desk, old: str, new: str, told: str) -> None:
    Path("plan.toml").write_text(PLAN.replace(old, new))
    code, out, err = desk.server("plan", "lab/fed", "plan.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_nothing_starts_while_the_aggregator_is_down_and_status_says_how_to_begin(desk: Desk) -> None:
    plan_id = desk.sign()
    for command in ("start", "resume", "stop"):
        code, _, err = desk.server(command, "lab/fed", plan_id[:8])
        assert code == 2 and "is not up; run fedmets-server up lab/fed" in err
    code, out, _ = desk.server("status", "lab/fed")
    assert f"run {plan_id[:12]} 'first': not started, round 0 of 3" in out
    assert "begin it with: fedmets-server start lab/fed" in out and "not up" in out
    answer = json.loads(desk.server("status", "lab/fed", "--json")[1])
    assert (answer["up"], [run["state"] for run in answer["runs"]]) == (None, ["not started"])


def test_an_unknown_plan_is_told_with_those_that_are_known(desk: Desk) -> None:
    plan_id = desk.sign()
    code, _, err = desk.server("start", "lab/fed", "ffff0000")
    assert code == 2 and f"signed here: {plan_id[:12]} (first)" in err


def test_there_is_nothing_to_release_before_a_round(desk: Desk) -> None:
    code, _, err = desk.server("release", "lab/fed", desk.sign(), "--out", "model")
    assert code == 2 and "no round of plan 'first' has moved the model yet" in err
    assert not Path("model").exists()


def test_a_model_that_cannot_be_sent_is_not_written_first(desk: Desk) -> None:
    plan_id = desk.sign()
    run = RunFolder(desk.lab.server, plan_id)
    run.make()
    plan = pick_plan(desk.lab.server, plan_id).plan
    run_federation(open_run(plan, run.path), FakeLink(), lambda record: None)
    code, _, err = desk.server("release", "lab/fed", plan_id, "--out", "model", "--send")
    assert code == 2 and "is not up; run fedmets-server up lab/fed" in err
    assert not Path("model").exists()
    assert "model-released" not in desk.lab.server.audit_file.read_text()
    assert desk.server("release", "lab/fed", plan_id, "--out", "model")[0] == 0


def test_a_log_that_does_not_hold_is_said_by_status_and_once_by_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.up.run_up", lambda folder, options, clock, say: say("ready"))
    log, told = desk.lab.server.audit_file, "fail  audit log: lab/fed/audit.jsonl, line 1: not an audit record"
    code, out, _ = desk.server("up", "lab/fed")
    assert (code, out.count("\n")) == (0, 1)
    log.write_bytes(b"{}\n" + log.read_bytes())
    code, out, _ = desk.server("up", "lab/fed")
    assert code == 0 and out.count(told) == 1 and out.splitlines()[-1].endswith("ready")
    code, out, err = desk.server("status", "lab/fed")
    assert code == 1 and out.count(told) == 1 and "does not hold: audit log" in err
    code, out, err = desk.server("plan", "lab/fed", "plan.toml")
    assert (code, out) == (1, "") and "line 1: not an audit record" in err
    assert not (desk.lab.server.path / "plans").exists()


def test_a_person_reads_a_plan_and_decides_and_can_change_the_decision(desk: Desk) -> None:
    plan_id = desk.sign()
    file = f"lab/fed/plans/{plan_id}/plan.json"
    code, out, _ = desk.site("approve", "lab/north", file, "--yes")
    assert code == 0 and "leaves this house:" in out and f"plan {plan_id[:12]} is approved" in out
    code, out, _ = desk.site("refuse", "lab/north", plan_id[:6], "--yes")
    assert code == 0 and f"plan {plan_id[:12]} is refused" in out
    listed = json.loads(desk.site("plans", "lab/north", "--json")[1])["plans"]
    assert listed == [{"plan_id": plan_id, "name": "first", "standing": "refused"}]
    assert "no plan was proposed" in desk.site("plans", "lab/south")[1]


def test_a_decision_needs_a_person_or_a_yes(desk: Desk) -> None:
    file = f"lab/fed/plans/{desk.sign()}/plan.json"
    code, _, err = desk.site("approve", "lab/north", file)
    assert code == 2 and "no terminal to ask at" in err


def test_a_plan_file_of_strangers_is_refused(desk: Desk, tmp_path: Path) -> None:
    stranger = make_lab(tmp_path / "other", "OTHER")
    now = datetime.now(UTC)
    for site in ("north", "south"):
        stranger.add(site, now)
    code, out, err = desk.server("plan", "other/fed", "plan.toml", "--json")
    assert (code, err) == (0, "")
    code, _, err = desk.site("approve", "lab/north", json.loads(out)["file"], "--yes")
    assert code == 1 and "wrong-key" in err
    assert not (desk.lab.site("north").path / "plans").exists()


def test_fetch_says_that_nothing_came(desk: Desk) -> None:
    code, _, err = desk.site("fetch", "lab/north")
    assert code == 2 and "no model was sent to this site yet" in err
