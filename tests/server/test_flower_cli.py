import threading
import time
from pathlib import Path

import pytest

from common.errors import FedmetsError
from server.flower_cli import FlowerCli
from server.flower_runs import FlowerStatus, RunValue, find_run, list_runs, stop_run, submit_run
from tests.server.flower_double import FlowerDouble

RUN = {"run-id": "17", "status": "finished:failed", "fab-hash": "ab", "status-details": "it broke"}


@pytest.fixture
def flower(tmp_path: Path) -> FlowerDouble:
    return FlowerDouble(tmp_path / "flower")


def test_a_failure_that_exits_with_0_is_raised_in_flowers_words(flower: FlowerDouble) -> None:
    flower.set(fail="Connection\n refused")
    with pytest.raises(FedmetsError, match=r"^flwr ls fedmets failed: Connection refused$"):
        flower.cli.call("ls", "fedmets")


def test_a_crash_without_json_is_raised_with_what_it_said(flower: FlowerDouble) -> None:
    with pytest.raises(FedmetsError, match="flwr crash failed: Traceback: no such thing"):
        flower.cli.call("crash")


def test_a_call_that_hangs_is_ended(flower: FlowerDouble) -> None:
    with pytest.raises(FedmetsError, match=r"flwr hang did not end within 0.3 s"):
        flower.cli.call("hang", timeout_s=0.3)


def test_a_call_under_way_can_be_given_up(flower: FlowerDouble) -> None:
    given_up = threading.Event()
    cli = FlowerCli(flower.cli.executable, flower.home, {}, given_up)
    threading.Timer(0.2, given_up.set).start()
    begin_s = time.monotonic()
    with pytest.raises(FedmetsError, match="flwr hang was given up"):
        cli.call("hang")
    assert time.monotonic() - begin_s < 30.0


def test_a_run_is_submitted_with_its_configuration(flower: FlowerDouble) -> None:
    flower.set(answers={"run": {"run-id": "12345678901234567890"}})
    config: dict[str, RunValue] = {"plan": "ab cd", "approval_deadline_s": 3.5, "mode": "train", "again": True}
    assert submit_run(flower.cli, Path("/app"), config) == 12345678901234567890
    text = 'plan="ab cd" approval_deadline_s=3.5 mode="train" again=true'
    assert flower.calls() == [["run", "/app", "fedmets", "--run-config", text]]


@pytest.mark.parametrize("value", ['a"b', "a'b", "a\\b", "a\nb"])
def test_a_value_that_flowers_parser_would_misread_is_refused(flower: FlowerDouble, value: str) -> None:
    with pytest.raises(FedmetsError, match=r"plan = .* holds a quotation mark, backslash or line break"):
        submit_run(flower.cli, Path("/app"), {"plan": value})
    assert flower.calls() == []


def test_a_run_is_found_and_stopped(flower: FlowerDouble) -> None:
    flower.set(answers={"ls": {"runs": [RUN]}, "stop": {}})
    run = find_run(flower.cli, 17)
    assert (run.run_id, run.status, run.status.is_over) == (17, FlowerStatus.FAILED, True)
    assert (run.bundle_sha256, run.details) == ("ab", "it broke")
    assert list_runs(flower.cli) == [run]
    stop_run(flower.cli, 17)
    assert flower.calls() == [["ls", "fedmets", "--run-id", "17"], ["ls", "fedmets"], ["stop", "17", "fedmets"]]


def test_an_unknown_run_or_status_is_said(flower: FlowerDouble) -> None:
    flower.set(answers={"ls": {"runs": []}})
    with pytest.raises(FedmetsError, match="knows no run 17"):
        find_run(flower.cli, 17)
    flower.set(answers={"ls": {"runs": [{**RUN, "status": "napping"}]}})
    with pytest.raises(FedmetsError, match="run 17: Flower says 'napping'"):
        find_run(flower.cli, 17)
