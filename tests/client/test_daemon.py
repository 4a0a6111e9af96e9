"""The daemon as a process, against a real SuperLink; and what it does when its programs die, with made-up ones."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.daemon import Daemon, run_daemon
from client.daemon_status import SiteStatus, as_text, site_status
from client.runtime_api import TaskSource
from client.site_config import load_site_config
from client.site_folder import SiteFolder
from common.allocation import for_carrying
from common.audit import read_audit
from common.chunks import CHUNKS
from common.errors import AuditBroken, ConfigError, EnrollmentError, KeyFileError, NodeError, UserError
from common.processes import process_info
from common.sealed import Passphrase
from common.stopping import StopSignals
from server.plans import sign_plan
from server.superlink import executable
from tests.client.flower_lab import NOW, Lab, running_lab, wait_for
from tests.server.builders import make_plan
from tests.trust import make_lab


@contextmanager
def daemon_process(site: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "HTTPS_PROXY": "http://127.0.0.1:9"}
    command = [executable("fedmets-site"), "run", str(site)]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.kill()
        running.wait(10)


def status_of(site: SiteFolder) -> SiteStatus:
    return site_status(site, datetime.now(UTC))


def pid_of(site: SiteFolder, program: str) -> int:
    """0 while it does not run."""
    return next((one.pid or 0 for one in status_of(site).programs if one.name == program), 0)


def restarts(site: SiteFolder) -> dict[str, int]:
    return {one.name: one.restarts for one in status_of(site).programs}


def is_gone(pid: int) -> bool:
    return process_info(pid) is None


def test_a_message_reaches_the_desk_and_its_answer_goes_back_and_nothing_is_left_running(tmp_path: Path) -> None:
    with running_lab(tmp_path) as lab:
        site = lab.add_site("north", tmp_path / "north")
        plan = make_plan().model_copy(update={"sites": ("north",)})
        kept = sign_plan(lab.folder, plan, "b" * 64, lab.folder.identity(None), NOW)
        with daemon_process(site.path) as running:
            wait_for(lambda: status_of(site).connected, 40, lab.supervisor)
            (answer,) = _answers(lab, kept.envelope, tmp_path)
            assert (answer["kind"], answer["standing"], answer["plan_id"]) == (
                "standing",
                "waiting",
                kept.plan.fingerprint(),
            )
            assert not (tmp_path / "imported").exists()  # the bundle, which was not thin, was never touched
            _refuses_others(site, running.pid)
            _survives_its_worker(site, lab)
            _frees_its_worker_of_a_lost_task(site, lab)
            pids = [running.pid, pid_of(site, "worker"), pid_of(site, "supernode")]
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0
        wait_for(lambda: all(is_gone(pid) for pid in pids), 10)
    left = [
        record.details["body"]
        for record in read_audit(site.path / "audit.jsonl")
        if record.event == "left-the-house"
    ]
    assert [body["standing"] for body in left] == ["waiting"]
    stopped = status_of(site)
    assert (stopped.running, stopped.connected, stopped.programs) == (False, False, ())
    assert stopped.plans_waiting == (kept.plan.fingerprint(),)
    assert stopped.last_reply is not None
    assert stopped.last_reply.what == "plan waiting"
    assert "start it with fedmets-site run" in as_text(stopped, datetime.now(UTC))


def _answers(lab: Lab, question: object, scratch: Path) -> list[dict[str, object]]:
    file = lab.ask(question, scratch)  # type: ignore[arg-type]
    wait_for(file.exists, 60, lab.supervisor)
    return [json.loads(answer) for answer in json.loads(file.read_text())]


def _refuses_others(site: SiteFolder, daemon: int) -> None:
    """A second daemon in the folder; and somebody on this machine who has not got the secret."""
    command = [executable("fedmets-site"), "run", str(site.path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert f"(process {daemon})" in second.stderr
    port = (site.path / "logs" / "supernode.log").read_text().rpartition("http://127.0.0.1:")[2].split()[0]
    for secret in (None, b"a guess"):
        source = TaskSource(f"127.0.0.1:{port}", secret)
        with pytest.raises(NodeError, match="401"):
            source.next()
        source.close()


def _survives_its_worker(site: SiteFolder, lab: Lab) -> None:
    """It is started again, and the SuperNode with it, which might wait for a reply for ever."""
    worker, node = pid_of(site, "worker"), pid_of(site, "supernode")
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: restarts(site) == {"supernode": 1, "worker": 1}, 40, lab.supervisor)
    wait_for(lambda: status_of(site).connected, 40, lab.supervisor)  # at once: it had signed out
    assert is_gone(worker)
    assert is_gone(node)


def _frees_its_worker_of_a_lost_task(site: SiteFolder, lab: Lab) -> None:
    """Flower says that it gave a message up, whose task it hands out all the same: both start anew, once."""
    with (site.path / "logs" / "supernode.log").open("a") as log:
        log.write("INFO :      Run ID 400 is not in `RUNNING` status. Ignoring message 91ef.\n")
    wait_for(lambda: restarts(site) == {"supernode": 2, "worker": 2}, 40, lab.supervisor)
    wait_for(lambda: status_of(site).connected, 40, lab.supervisor)
    assert restarts(site) == {"supernode": 2, "worker": 2}


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    joined = make_lab(tmp_path / "lab").add("north")
    (joined.path / "site.toml").write_text('[data]\nadapter = "ucsf_bmsr"\nroot = "cases"\n')
    return joined


def never() -> StopSignals:
    return StopSignals(os.pipe(), [signal.SIGTERM])


def test_it_does_not_start_on_a_folder_that_is_not_ready(tmp_path: Path, site: SiteFolder) -> None:
    with pytest.raises(EnrollmentError, match="has not joined"):
        run_daemon(tmp_path / "other", never(), {})
    (site.path / "site.toml").unlink()
    with pytest.raises(ConfigError, match=r"site\.toml"):
        run_daemon(site.path, never(), {})
    site.joined().identity_key.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        run_daemon(site.path, never(), {})


def test_it_does_not_start_on_a_log_that_was_altered_and_says_what_to_do(site: SiteFolder) -> None:
    whole = site.audit_file.read_bytes()
    site.audit_file.write_bytes(whole.replace(b"keys-made", b"keys-lost"))
    with pytest.raises(AuditBroken, match=r"line 1: its sha256 .*; find out .*: mv .*audit\.jsonl \S*\.broken$"):
        run_daemon(site.path, never(), {})
    assert not (site.path / "run").exists()


def test_a_torn_last_line_is_cut_off_at_its_start_and_that_is_noted(site: SiteFolder) -> None:
    with site.audit_file.open("ab") as file:
        file.write(b'{"seq":')
    (warning,) = [line for line in status_of(site).warnings if "torn" in line]
    assert "a site's daemon at its start" in warning
    with pytest.raises(EnrollmentError, match="run fedmets-site nginx"):  # an error further on, to end it
        run_daemon(site.path, never(), {}, sidecar_port=18443)
    last = list(read_audit(site.audit_file))[-1]
    assert (last.event, last.details) == ("audit-torn-line-cut", {"bytes": 7})
    assert not [line for line in status_of(site).warnings if "torn" in line]


def test_a_proxy_and_a_sidecar_are_two_ways_out_of_which_one_must_go(site: SiteFolder) -> None:
    own = site.path / "site.toml"
    own.write_text(f'proxy = "http://proxy:3128"\n{own.read_text()}')
    with pytest.raises(UserError, match="proxy does not go with --sidecar"):
        run_daemon(site.path, never(), {}, sidecar_port=18443)


def test_a_sidecar_must_have_been_made(site: SiteFolder) -> None:
    with pytest.raises(EnrollmentError, match="run fedmets-site nginx"):
        run_daemon(site.path, never(), {}, sidecar_port=18443)


def test_a_locked_key_needs_its_passphrase_when_the_daemon_starts(site: SiteFolder) -> None:
    key = site.joined().identity(None)
    site.joined().identity_key.unlink()
    key.save(site.joined().identity_key, Passphrase(b"open"))
    with pytest.raises(KeyFileError, match="--passphrase-file"):
        run_daemon(site.path, never(), {})


def test_the_worker_gets_no_proxy_and_time_to_drain(site: SiteFolder, tmp_path: Path) -> None:
    inherited = {"HTTPS_PROXY": "http://p:1", "http_proxy": "http://p:1", "CUDA_VISIBLE_DEVICES": "1"}
    config = load_site_config(site.path)
    worker = Daemon(site, config, "fed:8443", 9, tmp_path / "secret", tmp_path / "pass", inherited).worker()
    assert worker.environment == {**for_carrying({"CUDA_VISIBLE_DEVICES": "1"}), **CHUNKS}
    options = dict(zip(worker.argv[5::2], worker.argv[6::2], strict=True))
    assert options["--passphrase-file"] == str(tmp_path / "pass")
    assert worker.grace_s > float(options["--drain-s"]) + float(options["--delivery-s"])
    assert worker.argv[0] == sys.executable


def test_a_site_that_never_ran_says_so(site: SiteFolder) -> None:
    found = site_status(site, datetime(2030, 1, 2, tzinfo=UTC))
    assert (found.site, found.running, found.last_task, found.warnings) == ("north", False, None, ())
    assert "last task   none yet" in as_text(found, datetime(2030, 1, 2, tzinfo=UTC))
    late = site_status(site, datetime(2031, 12, 20, tzinfo=UTC))
    assert any("expires" in warning for warning in late.warnings)
