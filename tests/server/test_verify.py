import shutil
from pathlib import Path

import pytest

from common.audit import AuditLog
from common.errors import AuditBroken, CheckpointCorrupt
from server.rounds import run_federation, run_round
from server.verify import verify_run
from tests.server.builders import FakeLink, make_plan, open_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run_federation(open_run(make_plan(rounds=2), tmp_path), FakeLink(), lambda record: None)
    return tmp_path


def test_an_untouched_run_holds(folder: Path) -> None:
    verified = verify_run(folder)
    assert (verified.audit_records, verified.rounds) == (4, 2)
    assert verified.model_sha256 is not None


def test_a_round_swapped_for_another_runs_is_noticed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    run_federation(open_run(make_plan(rounds=2), other), FakeLink(order=("north", "west")), lambda record: None)
    shutil.rmtree(folder / "rounds" / "round-0001")
    shutil.copytree(other / "rounds" / "round-0001", folder / "rounds" / "round-0001")
    with pytest.raises(AuditBroken, match="after round 1, its commit holds"):
        verify_run(folder)


def test_a_lost_newest_commit_is_noticed(folder: Path) -> None:
    shutil.rmtree(folder / "rounds" / "round-0002")
    with pytest.raises(CheckpointCorrupt, match="round-0002: this round's commit is missing"):
        verify_run(folder)


def test_a_commit_set_aside_is_no_longer_the_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off after the damage was found, and again after the round was committed anew with another model."""
    (folder / "rounds" / "round-0002" / "model.safetensors").write_bytes(b"damaged")
    plan = make_plan(rounds=2)
    federation = open_run(plan, folder)
    model = federation.store.latest(plan)
    assert model is not None
    assert verify_run(folder).rounds == 1

    def cut_off(event: str, round_id: int | None, details: object) -> None:
        raise KeyboardInterrupt

    before = verify_run(folder).model_sha256
    monkeypatch.setattr(federation.audit, "record", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_round(2, model, federation, FakeLink(order=("north", "west")))
    assert verify_run(folder).rounds == 2
    assert verify_run(folder).model_sha256 != before


def test_a_damaged_commit_is_noticed(folder: Path) -> None:
    (folder / "rounds" / "round-0001" / "state.json").write_text("{}")
    with pytest.raises(CheckpointCorrupt, match="round-0001"):
        verify_run(folder)


def test_a_run_cut_off_between_a_commit_and_its_line_holds(folder: Path) -> None:
    audit = folder / "audit.jsonl"
    lines = audit.read_text().splitlines(keepends=True)
    audit.write_text("".join(lines[:2]))
    assert verify_run(folder).audit_records == 2
    AuditLog(audit, lambda: 0.0).record("round-committed", 2, {"model_sha256": "0" * 64})
    with pytest.raises(AuditBroken, match="after round 2"):
        verify_run(folder)
