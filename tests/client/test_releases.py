"""A released model reaches a hospital only with the word of the aggregator that it joined."""

import json
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from client import plan_cli
from client.cli import app
from client.releases import fetch_release, fetch_sent
from common.audit import read_audit
from common.cli import run_app
from common.errors import AuditBroken, EnrollmentError, ModelRefused, TrustCode, TrustError
from common.plan import EvaluationSpec
from common.release import open_release
from common.wire import StandingBody, read_body
from server.cli import run_checks
from server.plans import KeptPlan, sign_plan
from server.releasing import release_model, sealed_release
from server.rotation import rotate_server
from server.rounds import run_federation
from server.run_folder import RunFolder
from tests.server.builders import FakeLink, make_update, open_run
from tests.trust import DAY_0, make_lab
from tests.wired import BUNDLE, Wired, propose, wire


class DayZero(datetime):
    """The clock of the command: its certificates are of that day."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(DAY_0.timestamp(), tz)


@pytest.fixture
def lab(tmp_path: Path) -> Wired:
    """A federation whose run has ended."""
    wired = wire(tmp_path)
    for trainer in wired.trainers.values():
        trainer.reply = lambda site, task: make_update(site, task, scale=1e-4)
    run = RunFolder(wired.lab.server, wired.kept.body.plan_id)
    run.make()
    run_federation(open_run(wired.plan, run.path), wired.link(), lambda record: None)
    return wired


def released(lab: Wired, out: Path) -> str:
    return release_model(lab.lab.server, lab.kept, out, lab.lab.server.identity(None), DAY_0)


def test_a_release_carries_the_last_model_and_the_aggregators_signature(lab: Wired, tmp_path: Path) -> None:
    sha256 = released(lab, tmp_path / "model")
    found = fetch_release(lab.site("north"), tmp_path / "model", DAY_0)
    assert (found.sha256, found.was_here) == (sha256, False)
    stored = open_release(found.path)
    assert (stored.sha256, stored.round_id) == (sha256, 3)
    assert stored.metrics["status"] == "completed"
    assert all(check.holds for check in run_checks(found.path))


def test_a_release_that_is_sent_waits_at_the_site_and_is_verified_again(lab: Wired) -> None:
    server = lab.lab.server
    run = RunFolder(server, lab.kept.body.plan_id)
    message = sealed_release(server, lab.kept, run, server.identity(None), DAY_0)
    told = read_body(StandingBody, lab.desk("south").answer(message, BUNDLE))
    assert told.standing == "stored"
    (found,) = fetch_sent(lab.site("south"), DAY_0).fetched
    assert found.path.parent == lab.site("south").path / "models"
    inbox = next(lab.site("south").path.glob("plans/*/release/model.safetensors"))
    inbox.write_bytes(inbox.read_bytes()[:-4] + b"oops")
    (refused,) = fetch_sent(lab.site("south"), DAY_0).refused
    assert refused.source == inbox.parent
    assert "the payload is not the one" in refused.reason and "send the release again" in refused.reason


@pytest.mark.parametrize("fetched_before", [True, False])
def test_a_release_of_before_a_rotation_keeps_none_of_after_it_from_being_stored(
    lab: Wired, fetched_before: bool
) -> None:
    """Whichever comes first in the order of plans: here the one whose signature no longer counts."""
    site, server, (first, second) = lab.site("south"), lab.lab.server, two_runs(lab)
    send(lab, first)
    before = fetch_sent(site, DAY_0).fetched if fetched_before else ()
    rotate_server(server, DAY_0)
    send(lab, second)
    for was_here in (False, True):
        found = fetch_sent(site, DAY_0)
        stored = [(one.path.name, one.was_here) for one in found.fetched]
        old = [(first.body.plan_id[:12], True)] if fetched_before else []
        assert stored == [*old, (second.body.plan_id[:12], was_here)]
        if fetched_before:
            assert (found.fetched[0].sha256, found.refused) == (before[0].sha256, ())
        else:
            (refused,) = found.refused
            assert first.body.plan_id in str(refused.source) and refused.reason.startswith("wrong-key")
    lines = [record.event for record in read_audit(site.audit_file)]
    assert lines.count("release-stored") == 1 + fetched_before  # and not again at every fetch
    send(lab, first)  # sent anew, under the key of today: its statement takes the old one's place
    found = fetch_sent(site, DAY_0)
    assert ([one.was_here for one in found.fetched], found.refused) == ([False, True], ())


def test_a_model_that_is_here_is_not_refused_for_a_later_statement_of_before_the_rotation(lab: Wired) -> None:
    site, (first, second) = lab.site("south"), two_runs(lab)
    send(lab, first)
    fetch_sent(site, DAY_0)
    send(lab, first)  # of the same model, and never fetched
    rotate_server(lab.lab.server, DAY_0)
    send(lab, second)
    found = fetch_sent(site, DAY_0)
    assert ([one.was_here for one in found.fetched], found.refused) == ([True, False], ())


def two_runs(lab: Wired) -> list[KeptPlan]:
    """Two plans that have run, both approved at south, in the order of their ids."""
    server, site = lab.lab.server, lab.site("south")
    plan = lab.plan.model_copy(update={"seed": 8})
    other = sign_plan(server, plan, BUNDLE, server.identity(None), DAY_0)
    propose(site, other.envelope)
    run = RunFolder(server, other.body.plan_id)
    run.make()
    run_federation(open_run(plan, run.path), FakeLink(), lambda record: None)
    return sorted((lab.kept, other), key=lambda kept: kept.body.plan_id)


def send(lab: Wired, kept: KeptPlan) -> None:
    server = lab.lab.server
    message = sealed_release(server, kept, RunFolder(server, kept.body.plan_id), server.identity(None), DAY_0)
    assert read_body(StandingBody, lab.desk("south").answer(message, BUNDLE)).standing == "stored"


def test_a_release_that_cannot_be_read_says_which_file(lab: Wired) -> None:
    send(lab, lab.kept)
    inbox = lab.site("south").path / "plans" / lab.kept.body.plan_id / "release"
    (inbox / "signature.json").write_text("{}")
    assert "signature.json: not a signature" in fetch_sent(lab.site("south"), DAY_0).refused[0].reason
    (inbox / "body.json").unlink()
    assert "body.json: cannot be read" in fetch_sent(lab.site("south"), DAY_0).refused[0].reason


def test_nothing_is_stored_that_cannot_be_written_down(lab: Wired) -> None:
    send(lab, lab.kept)
    site = lab.site("south")
    site.audit_file.write_bytes(site.audit_file.read_bytes().replace(b"task", b"tusk"))
    with pytest.raises(AuditBroken, match=r"find out who or what changed it; .* mv .*audit\.jsonl"):
        fetch_sent(site, DAY_0)
    assert not (site.path / "models").exists()


def test_the_command_prints_what_is_stored_also_when_another_is_refused(
    lab: Wired, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_cli, "datetime", DayZero)
    first, second = two_runs(lab)
    site = lab.site("south").path
    for kept in (first, second):
        send(lab, kept)
    payload = site / "plans" / first.body.plan_id / "release" / "model.safetensors"
    payload.write_bytes(payload.read_bytes() + b"x")
    assert run_app(app, "fedmets-site", ["fetch", str(site)]) == 1
    printed = capsys.readouterr()
    stored, refused = printed.out.splitlines()
    assert stored.startswith(f"{site / 'models' / second.body.plan_id[:12]}: model of 'tiny' after round 3")
    assert refused.startswith(f"refused: {payload.parent}: ")
    assert "1 of 2 releases were refused" in printed.err
    assert run_app(app, "fedmets-site", ["fetch", str(site), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["was_here"] for one in told["models"]] == [True]
    assert [one["path"] for one in told["refused"]] == [str(payload.parent)]


def test_a_site_that_did_not_approve_the_plan_is_sent_no_model(tmp_path: Path) -> None:
    lab = wire(tmp_path / "x", approve=False)
    other = wire(tmp_path / "y")
    for trainer in other.trainers.values():
        trainer.reply = lambda site, task: make_update(site, task, scale=1e-4)
    run = RunFolder(lab.lab.server, lab.kept.body.plan_id)
    run.make()
    run_federation(open_run(lab.plan, run.path), other.link(), lambda record: None)
    message = sealed_release(lab.lab.server, lab.kept, run, lab.lab.server.identity(None), DAY_0)
    assert read_body(StandingBody, lab.desk("north").answer(message, BUNDLE)).standing == "refused"
    with pytest.raises(EnrollmentError, match="no model was sent"):
        fetch_sent(lab.site("north"), DAY_0)


def test_a_changed_file_is_refused(lab: Wired, tmp_path: Path) -> None:
    released(lab, tmp_path / "model")
    metrics = tmp_path / "model" / "metrics.json"
    metrics.write_text(metrics.read_text().replace("completed", "perfect!!"))
    with pytest.raises(ModelRefused, match="not those that were signed"):
        fetch_release(lab.site("north"), tmp_path / "model", DAY_0)


def test_another_federations_model_is_not_believed(lab: Wired, tmp_path: Path) -> None:
    released(lab, tmp_path / "model")
    stranger = make_lab(tmp_path / "stranger", "OTHER")
    stranger.add("north")
    with pytest.raises(TrustError) as refused:
        fetch_release(stranger.site("north"), tmp_path / "model", DAY_0)
    assert refused.value.code is TrustCode.WRONG_KEY


def test_an_unsigned_model_is_refused(lab: Wired, tmp_path: Path) -> None:
    released(lab, tmp_path / "model")
    (tmp_path / "model" / "signature.json").unlink()
    with pytest.raises(ModelRefused, match="no federation vouches for it"):
        fetch_release(lab.site("north"), tmp_path / "model", DAY_0)


def test_what_the_federation_says_of_the_model_are_its_sites_sums(lab: Wired, tmp_path: Path) -> None:
    released(lab, tmp_path / "model")
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    validation = metrics["validation"]
    assert (validation["patients"], validation["cases"], validation["suppressed_sites"]) == (4 * 6, 4 * 7, 0)
    dice = validation["dice"]
    assert np.allclose((dice["estimate"], dice["low"], dice["high"]), (0.75, 0.68774, 0.81226), atol=1e-5)


def test_lesions_that_may_be_of_fewer_than_five_patients_are_in_no_release(lab: Wired, tmp_path: Path) -> None:
    """Under smallest_cell = 1 a class of lesions may be one patient's, and nobody here can know."""
    plan = lab.plan.model_copy(update={"evaluation": EvaluationSpec(smallest_cell=1)})
    lenient = replace(lab.kept, body=lab.kept.body.model_copy(update={"plan": plan}))
    run = RunFolder(lab.lab.server, lenient.body.plan_id)
    run.make()
    run_federation(open_run(plan, run.path), FakeLink(), lambda record: None)
    release_model(lab.lab.server, lenient, tmp_path / "model", lab.lab.server.identity(None), DAY_0)
    validation = json.loads((tmp_path / "model" / "metrics.json").read_text())["validation"]
    assert validation["patients"] == 24
    assert (validation["lesion_sensitivity"], validation["sensitivity_by_volume"]) == (None, None)
    card = (tmp_path / "model" / "CARD.md").read_text(encoding="utf-8")
    assert "No sensitivity is shown" in card and "0.600" not in card


def test_the_card_of_a_federation_travels_with_its_model(lab: Wired, tmp_path: Path) -> None:
    released(lab, tmp_path / "model")
    card = (tmp_path / "model" / "CARD.md").read_text(encoding="utf-8")
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    dice = metrics["validation"]["dice"]
    shown = f"{dice['estimate']:.3f} ({dice['low']:.3f} to {dice['high']:.3f})"
    assert f"| Dice, mean over patients | {shown} | 24 |" in card
    assert "| 28 validation exams of 24 patients |" in card
    assert "scores on held-out test patients, with intervals;" in card
    assert "has seen no image and no patient" in card
    stored = fetch_release(lab.site("north"), tmp_path / "model", DAY_0)
    assert (stored.path / "CARD.md").read_text(encoding="utf-8") == card
    (stored.path / "CARD.md").write_text(card.replace("no image", "every image"), encoding="utf-8")
    with pytest.raises(ModelRefused, match=r"CARD\.md: changed since its release"):
        open_release(stored.path)
