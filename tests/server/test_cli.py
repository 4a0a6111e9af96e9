"""`fedmets-server verify`: says what holds, names what does not, and its exit code tells them apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.audit import AuditLog
from common.cli import run_app
from common.plan import Plan
from common.release import write_release
from common.weights import Weights, pack
from server.cli import app
from server.rounds import run_federation
from tests.server.builders import FakeLink, make_plan, open_run

PLAN = Plan(name="demo", seed=7, sites=("north", "south"), sequences=("t1c",))


def some_weights() -> Weights:
    return pack({"weight": np.arange(6.0).reshape(2, 3)})


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    audit = AuditLog(folder / "audit.jsonl", clock=lambda: 0.0)
    for round_id in (1, 2, 3):
        audit.record("round-committed", round_id, {"sites": 2})
    write_release(folder / "model", PLAN, some_weights(), {}, round_id=3)
    (folder / "result.json").write_text(json.dumps({"model": {"sha256": some_weights().sha256()}}))
    return folder


def verify(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, list[str], str]:
    code = run_app(app, "fedmets-server", ["verify", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_whole_run_verifies_one_line_a_check(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, err = verify(capsys, run_folder)
    assert (code, err) == (0, "")
    assert "chain of 3 records holds" in lines[0]
    assert f"model {some_weights().sha256()} of round 3, 6 parameters" in lines[1]


@pytest.mark.parametrize(("part", "text"), [("audit.jsonl", "3 records"), ("model", "every file matches")])
def test_log_and_model_verify_by_themselves(
    run_folder: Path, capsys: pytest.CaptureFixture[str], part: str, text: str
) -> None:
    code, lines, _ = verify(capsys, run_folder / part)
    assert code == 0
    assert len(lines) == 1
    assert text in lines[0]


def test_edited_log_is_1_and_names_the_line_while_the_model_is_still_checked(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = run_folder / "audit.jsonl"
    log.write_text(log.read_text().replace('"sites":2', '"sites":9'))
    code, lines, err = verify(capsys, run_folder)
    assert code == 1
    assert err.startswith(f"fedmets-server: error: {log}, line 1:")
    assert err.count("\n") == 1
    assert len(lines) == 1
    assert "every file matches" in lines[0]


def test_changed_model_is_1(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_folder / "model" / "plan.json").write_text("{}")
    code, lines, err = verify(capsys, run_folder)
    assert code == 1
    assert "plan.json: changed since its release" in err
    assert len(lines) == 1


def test_other_model_than_the_result_names_is_1(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_folder / "result.json").write_text(json.dumps({"model": {"sha256": "0" * 64}}))
    code, _, err = verify(capsys, run_folder)
    assert code == 1
    assert "result.json names 000000000000…" in err


def test_json_lists_every_check(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_folder / "model" / "metrics.json").unlink()
    code, lines, _ = verify(capsys, run_folder, "--json")
    assert code == 1
    assert [check["holds"] for check in json.loads(lines[0])["checks"]] == [True, False]


def test_nothing_to_check_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, text in (
        (tmp_path, "holds neither audit.jsonl nor"),
        (tmp_path / "nowhere", "no such file or folder"),
    ):
        code, lines, err = verify(capsys, path)
        assert (code, lines) == (2, [])
        assert text in err


def test_committed_rounds_and_the_released_model_must_tell_one_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan()
    model = run_federation(open_run(plan, tmp_path), FakeLink(), lambda _: None).model
    write_release(tmp_path / "model", plan, model.weights, {}, round_id=3)
    code, lines, _ = verify(capsys, tmp_path)
    assert code == 0
    assert "3 committed rounds match it" in lines[0]

    write_release(tmp_path / "model", plan, some_weights(), {}, round_id=3)
    code, lines, err = verify(capsys, tmp_path)
    assert code == 1
    assert len(lines) == 1
    assert "but the last commit in" in err


def test_damaged_commit_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_federation(open_run(make_plan(), tmp_path), FakeLink(), lambda _: None)
    (newest,) = (tmp_path / "rounds").glob("*3/model.safetensors")
    newest.write_bytes(newest.read_bytes()[:-1])
    code, lines, err = verify(capsys, tmp_path)
    assert (code, lines) == (1, [])
    assert newest.name in err
