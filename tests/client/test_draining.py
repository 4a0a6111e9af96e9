"""The daemon is told to stop while it trains."""

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.approvals import decide, receive_plan
from client.server_trust import open_site
from common.model.build import build_model
from common.model.weights import weights_of
from common.plan import TrainingSpec
from common.protocol import TrainTask
from server.plans import sign_plan
from server.sealing import seal_task
from tests.client.flower_lab import NOW, running_lab, wait_for
from tests.client.test_daemon import daemon_process, is_gone, pid_of, status_of
from tests.client.test_preparing import PLAN, write_case


@pytest.mark.chaos
def test_a_task_that_outlasts_the_grace_is_replied_to_with_a_code_before_the_end(tmp_path: Path) -> None:
    training = TrainingSpec(steps=1_000_000, batch_size=1, patch_size=(8, 8, 8))
    plan = PLAN.model_copy(update={"training": training})
    for number in range(6):
        write_case(tmp_path / "cases", f"p{number}", seed=number)
    with running_lab(tmp_path) as lab:
        site = lab.add_site("north", tmp_path / "north")
        (site.path / "site.toml").write_text(
            f'device = "cpu"\n[data]\nadapter = "nifti_folders"\nroot = "{tmp_path / "cases"}"\n'
            'sequences = { t1c = "t1c.nii.gz" }\nlabel = "seg.nii.gz"\n'
        )
        identity = lab.folder.identity(None)
        bundle_sha256 = lab.bundle_sha256(tmp_path)
        kept = sign_plan(lab.folder, plan, bundle_sha256, identity, NOW)
        decide(site, receive_plan(site, open_site(site), kept.envelope, NOW), "approved", NOW)
        weights = weights_of(build_model(plan.model, 1, 2, plan.seed))
        _, question = seal_task(
            TrainTask(plan.fingerprint(), 1, weights), plan, "LAB", identity, datetime.now(UTC)
        )
        with daemon_process(site.path) as running:
            wait_for(lambda: status_of(site).connected, 40, lab.supervisor)
            answers = lab.ask(question, tmp_path)
            wait_for(lambda: status_of(site).last_task is not None, 60, lab.supervisor)
            worker = pid_of(site, "worker")
            running.send_signal(signal.SIGTERM)
            wait_for(answers.exists, 120, lab.supervisor)
            assert running.wait(30) == 0
        assert is_gone(worker)
    (answer,) = [json.loads(one) for one in json.loads(answers.read_text())]
    assert (answer["outcome"], answer["code"], answer["round_id"]) == ("failed", "site-stopped", 1)
    stopped = status_of(site)
    assert stopped.last_reply is not None
    assert (stopped.last_reply.what, stopped.last_reply.round) == ("failed: site-stopped", 1)
