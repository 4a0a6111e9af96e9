"""A released model reaches a hospital only with the word of the aggregator that it joined."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.releases import fetch_release
from common.errors import EnrollmentError, ModelRefused, TrustCode, TrustError
from common.plan import EvaluationSpec
from common.release import open_release
from common.wire import StandingBody, read_body
from server.cli import run_checks
from server.releasing import release_model, sealed_release
from server.rounds import run_federation
from server.run_folder import RunFolder
from tests.server.builders import FakeLink, make_update, open_run
from tests.trust import DAY_0, make_lab
from tests.wired import BUNDLE, Wired, wire


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
    assert [one.sha256 for one in found] == [sha256]
    stored = open_release(found[0].path)
    assert (stored.sha256, stored.round_id) == (sha256, 3)
    assert stored.metrics["status"] == "completed"
    assert all(check.holds for check in run_checks(found[0].path))


def test_a_release_that_is_sent_waits_at_the_site_and_is_verified_again(lab: Wired) -> None:
    server = lab.lab.server
    run = RunFolder(server, lab.kept.body.plan_id)
    message = sealed_release(server, lab.kept, run, server.identity(None), DAY_0)
    told = read_body(StandingBody, lab.desk("south").answer(message, BUNDLE))
    assert told.standing == "stored"
    found = fetch_release(lab.site("south"), None, DAY_0)
    assert found[0].path.parent == lab.site("south").path / "models"
    inbox = next(lab.site("south").path.glob("plans/*/release/model.safetensors"))
    inbox.write_bytes(inbox.read_bytes()[:-4] + b"oops")
    with pytest.raises(Exception, match="the payload is not the one"):
        fetch_release(lab.site("south"), None, DAY_0)


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
        fetch_release(lab.site("north"), None, DAY_0)


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
    stored = fetch_release(lab.site("north"), tmp_path / "model", DAY_0)[0]
    assert (stored.path / "CARD.md").read_text(encoding="utf-8") == card
    (stored.path / "CARD.md").write_text(card.replace("no image", "every image"), encoding="utf-8")
    with pytest.raises(ModelRefused, match=r"CARD\.md: changed since its release"):
        open_release(stored.path)
