"""What is made of a program that ends: its last words, and when a start is given up. Programs on paper alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from common.errors import FedmetsError, UserError
from common.supervise import EventKind, ProgramEvent
from common.supervisor_state import ProgramRecord
from server.up_ends import Ends, LastWords, Patience

DAY_0 = datetime(2030, 1, 1, tzinfo=UTC)
TAKEN = "gateway: error: cannot listen at 0.0.0.0:8443: Address already in use; end what listens there"


def program(
    name: str, code: int | None, restarts: int = 0, state: Literal["running", "waiting"] = "waiting"
) -> ProgramRecord:
    return ProgramRecord(
        name=name, state=state, process=None, guardian=None, since=DAY_0, restarts=restarts, last_code=code
    )


def add(log: Path, *lines: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def ended(name: str = "gateway", code: int = 2) -> ProgramEvent:
    return ProgramEvent(EventKind.ENDED, name, f"code {code} after 1 s, starts again in 1 s; its log is L")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.log"
    add(path, "gateway: error: of another day")
    return path


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([TAKEN], TAKEN.removeprefix("gateway: error: ")),
        (["one", "two", ""], "two"),
        (["ERROR [uvicorn.error] [Errno 98] in use", "INFO [uvicorn.error] complete."], "ERROR [uvicorn.error]"),
        (["Traceback:", "ValueError: 7", "\x1b[92mINFO \x1b[0m: bye"], "ValueError: 7"),
        (["\x1b[92mINFO \x1b[0m: bye\x07\x1b]0;title\x07"], "INFO : bye]0;title"),
        (["x" * 1000], "x" * 300),
        ([], ""),
    ],
)
def test_the_words_are_the_last_error_of_that_life_on_one_clean_line(
    log: Path, lines: list[str], words: str
) -> None:
    last = LastWords({"gateway": log})
    add(log, *lines)
    assert last.of("gateway").startswith(words) and len(last.of("gateway")) <= 300
    assert last.of("gateway") == ""


def test_words_are_found_in_a_log_that_is_new_long_or_was_moved_away(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    last = LastWords({"gateway": log})
    assert last.of("gateway") == ""
    add(log, *["y" * 99] * 1000, "the end")
    assert last.of("gateway") == "the end"
    log.write_text("after 20 MB\n", encoding="utf-8")
    assert last.of("gateway") == "after 20 MB"


def test_an_end_is_told_with_its_words_and_other_events_as_they_are(log: Path) -> None:
    said: list[str] = []
    ends = Ends({"gateway": log}, said.append)
    ends.tell(ProgramEvent(EventKind.STARTED, "gateway", ""))
    add(log, TAKEN)
    ends.tell(ended())
    ends.tell(ended())
    ends.tell(ProgramEvent(EventKind.LEFT_OVER, "programs", "killed 2"))
    assert said == [
        "gateway started",
        f"{ended()}; it said: cannot listen at 0.0.0.0:8443: Address already in use; end what listens there",
        str(ended()),
        "programs left over: killed 2",
    ]


def test_before_ready_code_2_ends_the_wait_and_three_ends_do(log: Path) -> None:
    ends = Ends({"gateway": log, "superlink": log.with_name("superlink.log")}, lambda line: None)
    add(log, TAKEN)
    ends.tell(ended())
    with pytest.raises(UserError, match=r"^gateway: cannot listen at 0\.0\.0\.0:8443: Address already in use"):
        ends.refuse_to_wait([program("superlink", None, state="running"), program("gateway", 2)])
    ends.refuse_to_wait([program("gateway", 2, restarts=1, state="running"), program("superlink", 1, restarts=1)])
    with pytest.raises(FedmetsError, match=r"ended 3 times .* last with code 1: it said nothing") as error:
        ends.refuse_to_wait([program("superlink", 1, restarts=2)])
    assert error.value.exit_code == 1


def test_a_start_is_given_ten_seconds_more_for_each_site() -> None:
    now_s = 1000.0
    patience = Patience(2, Path("logs"), lambda: now_s)
    now_s += 320.0
    patience.keep()
    now_s += 0.1
    with pytest.raises(FedmetsError, match="not ready within 320 s; see the lines above and logs"):
        patience.keep()
