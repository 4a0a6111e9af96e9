"""What is worked out of the records, logs and figures of a trial that is written down here by hand."""

import json
import logging
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from common.audit import AuditRecord
from server.app import LOG_FORMAT
from server.records import Outcome, Participation, RoundRecord
from simulation.bench.process_figures import ProcessFigures, ProcessWatch, figures_of, idle_s
from simulation.bench.relay import Traffic
from simulation.bench.transport_figures import (
    CHECKED,
    FETCHED,
    SEALED,
    SENT,
    STAGES,
    Marks,
    TransportTrial,
    trial_of,
)
from tests.server.builders import make_task
from tests.wired import wire

BEGAN_AT = datetime(2030, 1, 1, 12, 0, 0).astimezone().timestamp()
LOG = """\
2030-01-01 12:00:09,000 round 1: task of 400 bytes sealed in 7.000 s
2030-01-01 12:00:10,500 round 2: task of 400 bytes sealed in 0.200 s
2030-01-01 12:00:11,500 round 2: sent to 2 sites in 1.000 s
2030-01-01 12:00:15,000 answer of site-1 fetched in 1.000 s
2030-01-01 12:00:15,200 round 2: answer of site-1 checked in 0.100 s
2030-01-01 12:00:17,000 answer of site-2 fetched in 3.000 s
2030-01-01 12:00:17,300 round 2: answer of site-2 checked in 0.300 s
"""


def record(number: int, seconds: float) -> RoundRecord:
    sites = tuple(Participation(site=f"site-{n}", outcome=Outcome.ACCEPTED, cases=1) for n in (1, 2))
    return RoundRecord(
        round=number,
        plan_id="p",
        seed=1,
        advanced=True,
        model_sha256="m",
        seconds=seconds,
        aggregate_seconds=0.4,
        sites=sites,
    )


def audit_line(number: int, at_s: float) -> AuditRecord:
    return AuditRecord(
        seq=number,
        time=BEGAN_AT + at_s,
        event="round-committed",
        round=number,
        details={},
        previous="",
        sha256="",
    )


def trial(tmp_path: Path) -> TransportTrial:
    """Two rounds end at 10 and 20 s; the second one's task is in the sites' hands at 13 and 14 s."""
    times = []
    for site, taken_at in ((1, 12.0), (2, 13.5)):
        lines = [
            {"taken_at": BEGAN_AT + begun_s, "take_s": take_s, "work_s": 0.3, "reply_s": 0.2}
            for begun_s, take_s in ((5.0, 1.0), (taken_at, 14.0 - taken_at if site == 2 else 1.0))
        ]
        path = tmp_path / f"{site}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        times.append(path)
    marks = [
        Marks(
            {"serverapp": ProcessFigures(1.0, 500), "worker site-1": ProcessFigures(2.0, 70)},
            100.0,
            Traffic(10, 20),
        ),
        Marks(
            {
                "serverapp": ProcessFigures(4.0, 800),
                "worker site-1": ProcessFigures(2.5, 90),
                "worker site-2": ProcessFigures(0.25, 80),
            },
            105.0,
            Traffic(up=210, down=620),
        ),
    ]
    audit = (audit_line(1, 10.0), audit_line(2, 20.0))
    return trial_of("float16", True, (record(1, 9.0), record(2, 8.5)), audit, LOG, times, marks, cores=2)


def test_the_stages_follow_one_another_and_add_up_to_the_round(tmp_path: Path) -> None:
    found = trial(tmp_path)
    expected = {"prepare": 0.3, "seal": 0.2, "send": 1.0, "down": 2.5, "up": 3.0, "finish": 1.5, "commit": 1.5}
    assert tuple(found.stages) == STAGES
    assert found.stages == pytest.approx(expected, abs=1e-3)
    assert sum(found.stages.values()) == pytest.approx(found.seconds) == pytest.approx(10.0)
    assert found.round_seconds == pytest.approx((10.0,))
    assert (found.sites, found.aggregate_s) == (2, 0.4)


def test_work_beside_the_stages_is_a_mean_over_the_rounds_tasks(tmp_path: Path) -> None:
    assert trial(tmp_path).beside == pytest.approx(
        {
            "site takes task": 0.75,
            "site works": 0.3,
            "site hands over": 0.2,
            "server fetches one": 2.0,
            "server checks one": 0.2,
        }
    )


def test_processes_are_charged_for_the_measured_rounds_alone(tmp_path: Path) -> None:
    found = trial(tmp_path)
    assert found.processes == {"serverapp": ProcessFigures(3.0, 800), "worker": ProcessFigures(0.75, 90)}
    assert found.idle_share == pytest.approx(5.0 / (10.0 * 2))
    assert found.traffic == Traffic(up=100, down=300)


def test_a_stage_without_a_record_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    marks = [Marks({}, 0.0), Marks({}, 0.0)]
    history, audit = (record(1, 9.0), record(2, 8.5)), (audit_line(1, 10.0), audit_line(2, 20.0))
    found = trial_of("float32", True, history, audit, "", [tmp_path / "empty"], marks, cores=2)
    assert [found.stages[stage] for stage in STAGES] == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.0, 8.5, 1.5])
    assert found.traffic is None


def test_the_log_is_the_one_that_the_server_writes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "server.flower_link")
    lab = wire(tmp_path)
    assert len(list(lab.link().train(lab.plan.sites, make_task(lab.plan), 30.0))) == 4
    written = logging.Formatter(LOG_FORMAT)
    log = "\n".join(written.format(line) for line in caplog.records)
    counts = [len(line.findall(log)) for line in (SEALED, SENT, FETCHED, CHECKED)]
    assert counts == [1, 1, 4, 4]


def test_a_process_that_ended_keeps_its_last_figures() -> None:
    watch = ProcessWatch()
    code = "print(1, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()  # it runs Python by now
        watch.add("child", child.pid)
        alive = watch.look()["child"]
        assert alive.peak_bytes > 1_000_000
    finally:
        child.communicate(b"\n", 20)
    assert figures_of(child.pid) is None
    assert watch.look()["child"] == alive
    assert ProcessFigures(3.0, 9).since(ProcessFigures(1.0, 4)) == ProcessFigures(2.0, 9)
    assert idle_s() > 0.0
