"""What `up` makes of a program that ends: its own last words for whoever watches, and when to give up waiting.

Once the aggregator was ready, whatever ends is started again for as long as `up` runs. Until then there is nothing
to keep going, and a fault that a person must mend should be said and not be tried for ever.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.errors import FedmetsError, UserError
from common.supervise import EventKind, ProgramEvent
from common.supervisor_state import ProgramRecord

_ENDS_BEFORE_READY = 3
_READY_WITHIN_S = 300.0
_READY_WITHIN_S_PER_SITE = 10.0  # registering a node takes two seconds
_TAIL_BYTES = 16384
_LONGEST_LINE = 300
_FAULT = re.compile(r"\bERROR\b|\berror: |Error: ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class LastWords:
    """The end of each program's log, as far as the program wrote it in the life that has just ended.

    Args:
        logs: by the program's name; a file need not be there yet. What it holds now is of earlier lives.
    """

    def __init__(self, logs: Mapping[str, Path]) -> None:
        self._logs = dict(logs)
        self._read = {name: _size(log) for name, log in self._logs.items()}

    def of(self, program: str) -> str:
        """The last line that tells of an error, else the last line; "" when nothing was written in that life.

        One printable line of at most 300 characters, also where a log holds a client's text. "gateway: error: "
        before it is left out, since whoever asks names the program.
        """
        log, before = self._logs[program], self._read[program]
        size = self._read[program] = _size(log)
        begin = max(before if before <= size else 0, size - _TAIL_BYTES)  # smaller: moved away after 20 MB
        lines = [line for line in map(_printable, _read(log, begin, size).splitlines()) if line]
        told = [line for line in lines if _FAULT.search(line)] or lines
        return told[-1].removeprefix(f"{program}: error: ")[:_LONGEST_LINE] if told else ""


class Ends:
    """Tells of the programs' events, and remembers why the ones that wait had ended.

    Args:
        logs: see `LastWords`.
        say: told of each event, a line each.
    """

    def __init__(self, logs: Mapping[str, Path], say: Callable[[str], None]) -> None:
        self._last_words, self._say = LastWords(logs), say
        self._why: dict[str, str] = {}

    def tell(self, event: ProgramEvent) -> None:
        """Say what happened; of an end with the program's last words."""
        if event.kind not in (EventKind.ENDED, EventKind.STOPPED):
            self._say(str(event))
            return
        words = self._last_words.of(event.program)
        self._why[event.program] = words
        self._say(f"{event}; it said: {words}" if words and event.kind is EventKind.ENDED else str(event))

    def refuse_to_wait(self, programs: Sequence[ProgramRecord]) -> None:
        """Return if it makes sense to go on waiting for programs that were never all up.

        Raises:
            UserError: one ended with 2, as it does when its configuration, key or address cannot be used.
            FedmetsError: one has ended three times.
        """
        for program in (program for program in programs if program.state == "waiting"):
            why = self._why.get(program.name) or "it said nothing; look at its log"
            if program.last_code == UserError.exit_code:
                raise UserError(f"{program.name}: {why}")
            if program.restarts + 1 >= _ENDS_BEFORE_READY:
                raise FedmetsError(
                    f"{program.name}: ended {program.restarts + 1} times before the aggregator was ready, "
                    f"last with code {program.last_code}: {why}"
                )


class Patience:
    """How long a start may take: five minutes, and ten seconds a site.

    Args:
        sites: how many are enrolled.
        logs: the folder to name when it is over.
        monotonic_s: measures it.
    """

    def __init__(self, sites: int, logs: Path, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._within_s = _READY_WITHIN_S + _READY_WITHIN_S_PER_SITE * sites
        self._logs, self._monotonic_s = logs, monotonic_s
        self._end_s = monotonic_s() + self._within_s

    def keep(self) -> None:
        """Return while it lasts; raises FedmetsError after that."""
        if self._monotonic_s() > self._end_s:
            raise FedmetsError(
                f"the aggregator was not ready within {self._within_s:.0f} s; see the lines above and {self._logs}"
            )


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _read(log: Path, begin: int, end: int) -> str:
    """A part of a log; "" where it cannot be read: the end itself is told all the same."""
    try:
        with log.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin).decode(errors="replace")
    except OSError:
        return ""


def _printable(line: str) -> str:
    return "".join(sign for sign in _COLOUR.sub("", line) if sign.isprintable()).strip()
