"""The aggregator as it is started, with real processes on loopback: gateway, SuperLink, SuperExec.

TLS looks at the machine's clock, so this federation is founded today.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.requesting import request_enrollment
from client.site_folder import SiteFolder
from common.errors import EnrollmentError, UserError
from common.processes import send
from common.supervisor_state import read_state
from server.bundle import write_bundle
from server.enrollment import enroll_site
from server.flower_runs import FlowerStatus, find_run, stop_run, submit_run
from server.nodes import list_nodes
from server.plans import KeptPlan, sign_plan
from server.provisioning import ServerFolder, init_federation
from server.registry import Status
from server.rotation import rotate_server
from server.run_folder import RunFolder
from server.run_report import report_run
from server.running import begin_run, end_run
from server.standing import set_standing
from server.superlink import flower_folder, free_port, is_healthy
from server.up_record import UpRecord, read_up, running_cli
from tests.server.builders import make_plan

NOW = datetime.now(UTC).replace(microsecond=0)


def wait_for(condition: Callable[[], bool], log: Path, seconds: float = 90.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, f"it did not happen in time; said so far:\n{log.read_text()}"
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    server = init_federation(tmp_path / "fed", "BMFED", ("localhost",), free_port(), NOW)
    request = request_enrollment(SiteFolder(tmp_path / "north"), "north", NOW).file
    enroll_site(server, request, tmp_path / "north.kit", NOW)
    return server


@contextmanager
def up(server: ServerFolder, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`fedmets-server up`, killed at the end if it still runs."""
    command = [str(Path(sys.executable).parent / "fedmets-server"), "up", str(server.path), *options]
    with (
        said(server).open("ab") as out,
        subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
    try:
        wait_for(lambda: related(server) == {}, said(server))
    finally:
        send(related(server), signal.SIGKILL)


def said(server: ServerFolder) -> Path:
    return server.path.parent / "said"


def related(server: ServerFolder) -> dict[int, str]:
    """Number and command line of all processes that name the federation's folder or stem from one that did."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if entry.name != str(os.getpid()) and str(server.path) in line + environment:
            found[int(entry.name)] = line
    return found


def record(server: ServerFolder) -> UpRecord:
    return read_up(server) or pytest.fail("it is not up")


def nodes(server: ServerFolder) -> list[dict[str, object]]:
    text = flower_folder(server).nodes.read_bytes()
    return list(json.loads(text)["nodes"])


def test_an_aggregator_from_its_start_to_its_end(server: ServerFolder, tmp_path: Path) -> None:
    out = said(server)
    with up(server, "--listen", "127.0.0.1") as process:
        wait_for(lambda: read_up(server) is not None, out)
        first, authority = record(server), server.authority_certificate
        assert set(first.pids) == {"superlink", "superexec", "gateway"}
        assert is_healthy("127.0.0.1", first.superlink_port, authority)
        assert is_healthy("127.0.0.1", server.federation.port, authority)
        cli = running_cli(server)
        assert [node["site"] for node in nodes(server)] == ["north"]

        os.kill(first.pids["superlink"], signal.SIGKILL)
        wait_for(lambda: record(server).pids.get("superlink", 0) not in (0, first.pids["superlink"]), out)
        wait_for(lambda: is_healthy("127.0.0.1", server.federation.port, authority), out)
        registered = {node["node_id"] for node in nodes(server)}
        assert list_nodes(cli) == registered
        assert record(server).pids["superexec"] == first.pids["superexec"]
        check_runs(server)
        kept = begin_twice_and_stop(server)
        set_standing(server, "north", Status.SUSPENDED, NOW)
        wait_for(lambda: nodes(server) == [], out)
        set_standing(server, "north", Status.ACTIVE, NOW)  # with the same key, which Flower alone would refuse
        wait_for(lambda: len(nodes(server)) == 1, out)
        assert list_nodes(cli) == {node["node_id"] for node in nodes(server)} != registered
        rotate_server(server, NOW)
        set_standing(server, "north", Status.REMOVED, NOW)
        wait_for(lambda: nodes(server) == [] and record(server).generation == 2, out)
        wait_for(lambda: is_healthy("127.0.0.1", server.federation.port, authority), out)

        assert report_run(server, kept).state == "stopped"  # nor did Flower begin it since
        assert not RunFolder(server, kept.body.plan_id).at_work()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert (related(server), read_up(server)) == ({}, None)
    lines = [line[20:] for line in out.read_text().splitlines()]
    assert lines[:3] == ["superlink started", "superexec started", "gateway started"]
    assert [line.split(" ")[0] for line in lines[-4:]] == ["ending:", "gateway", "superexec", "superlink"]
    with pytest.raises(UserError, match="is not up; run fedmets-server up"):
        running_cli(server)


def check_runs(server: ServerFolder) -> None:
    """A run of the thin bundle is taken under the bundle's own hash, and can be stopped."""
    cli, app = running_cli(server), flower_folder(server).app
    run_id = submit_run(cli, app, {"plan": "none of this name"})
    assert find_run(cli, run_id).bundle_sha256 == write_bundle(app)
    stop_run(cli, run_id)


def begin_twice_and_stop(server: ServerFolder) -> KeptPlan:
    """All within the seconds that Flower takes to start a run's process."""
    cli, app = running_cli(server), flower_folder(server).app
    plan = make_plan().model_copy(update={"sites": ("north",)})
    kept = sign_plan(server, plan, write_bundle(app), server.identity(None), NOW)
    number = begin_run(server, kept, cli, 600.0, NOW)
    assert report_run(server, kept).state in ("starting", "proposing")
    with pytest.raises(EnrollmentError, match=r"is being started already|is at work already"):
        begin_run(server, kept, cli, 600.0, NOW)
    end_run(server, kept, cli, NOW)
    assert (report_run(server, kept).state, find_run(cli, number).status) == ("stopped", FlowerStatus.STOPPED)
    return kept


def test_killed_it_leaves_no_process_and_starts_again(server: ServerFolder) -> None:
    out, run = said(server), server.path / "run"
    with up(server, "--no-gateway") as process:
        wait_for(lambda: (state := read_state(run)) is not None and len(state.programs) == 2, out)
        process.kill()
        process.wait(20)
        wait_for(lambda: related(server) == {}, out)
        assert read_up(server) is None
    with up(server, "--no-gateway") as process:
        wait_for(lambda: out.read_text().count("superexec started") == 2, out)
        second = subprocess.run(process.args, capture_output=True, text=True, check=False, timeout=60)
        assert (second.returncode, f"(process {process.pid}); stop that first" in second.stderr) == (2, True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
