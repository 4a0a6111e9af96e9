"""A consortium and three hospitals that do what the guides say, command by command, as processes of their own."""

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from server.provisioning import ServerFolder
from server.superlink import LOOPBACK, free_port
from tests.end_to_end.live import PATIENCE_S, at_work_in, wait_for

DOCS = Path(__file__).parents[2] / "docs"
CONSORTIUM = "consortium"
HOSPITALS = ("hospital-a", "hospital-b", "hospital-c")
_PLACES = {"operations.md": (CONSORTIUM,), "site-guide.md": HOSPITALS}
_ALL_MUST = ("install", "request", "join", "approve")  # the rest one hospital tries for all
_BLOCK = re.compile(r"^```console step=(\d+) ?(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Commands that stand together in a guide.

    Attributes:
        step: their place in the order of both guides.
        mark: `service` for one that runs to the end of all, `background` for one that is not waited for.
    """

    guide: str
    step: int
    mark: str
    commands: tuple[str, ...]


def blocks() -> list[Block]:
    """Every block of both guides, in the order of their steps."""
    found = []
    for guide in _PLACES:
        for step, mark, text in _BLOCK.findall((DOCS / guide).read_text(encoding="utf-8")):
            commands = tuple(line.removeprefix("$ ") for line in text.splitlines())
            found.append(Block(guide, int(step), mark, commands))
    return sorted(found, key=lambda block: block.step)


@dataclass
class Guided:
    """The four places, each a folder in which its people type; whatever they start ends with `close`."""

    root: Path
    port: int = field(default_factory=free_port)
    variables: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def server(self) -> ServerFolder:
        return ServerFolder(self.place(CONSORTIUM) / "bmfed")

    def place(self, who: str) -> Path:
        return self.root / who

    def site(self, who: str) -> Path:
        return self.place(who) / "site"

    def perform(self, block: Block) -> None:
        """Type a block's commands at every place that it is for; the hospitals type at the same time."""
        places = _PLACES[block.guide]
        if " enroll " in block.commands[0]:
            for hospital in HOSPITALS:
                self.type(block.commands[0].replace("hospital-a", hospital), CONSORTIUM)
        elif block.mark:
            for who in places:
                self.begin(block.commands[0], who)
        else:
            with ThreadPoolExecutor(len(places)) as people:
                list(people.map(lambda who: self._type_all(block.commands, who), places))

    def type(self, command: str, who: str) -> None:
        """One command at a terminal, at which any question is answered with yes; it must succeed."""
        here = self._as_typed(command, who)
        ours, theirs = pty.openpty()
        try:
            os.write(ours, b"y\n")
            done = subprocess.run(
                ["bash", "-c", here],
                cwd=self.place(who),
                env=self._environment(),
                stdin=theirs,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        right = done.returncode == 0 or (" check " in command and _is_only_slow(done.stdout))
        assert right, f"{self.log()}\n{who}$ {here}\n{done.stdout}{done.stderr}"
        self.said[f"{who}: {command}"] = done.stdout

    def begin(self, command: str, who: str) -> None:
        """A command that goes on."""
        with (self.root / f"{who}.{len(self.running)}.out").open("ab") as log:
            self.running[f"{who}: {command}"] = subprocess.Popen(
                ["bash", "-c", f"exec {self._as_typed(command, who)}"],
                cwd=self.place(who),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self, command: str, who: str) -> int:
        """SIGTERM, as systemd sends it; the exit code."""
        process = self.running.pop(f"{who}: {command}")
        process.terminate()
        return process.wait(PATIENCE_S)

    def trainer(self, who: str) -> int:
        """The process that trains at a hospital, as soon as there is one."""
        path = str(self.site(who)).encode()

        def found() -> list[int]:
            return [pid for pid in at_work_in(self.site(who)) if _trains(pid, path)]

        wait_for(lambda: bool(found()), f"{who} has a trainer", self.log)
        (trainer,) = found()
        return trainer

    @contextmanager
    def held(self, trainer: int) -> Iterator[None]:
        """For as long as the block lasts this training stands still, and with it the round."""
        os.kill(trainer, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(trainer, signal.SIGCONT)

    def wait(self, what: str, paths: str, count: int) -> None:
        """Until so many files match the pattern."""
        wait_for(lambda: len(list(self.root.glob(paths))) >= count, what, self.log)

    def log(self) -> str:
        """What every process said last, for a test that fails."""
        files = [*self.root.glob("*.out"), *self.root.rglob("logs/*.log")]
        return "\n".join(f"== {file}\n{file.read_text(errors='replace')[-1500:]}" for file in sorted(files))

    def close(self) -> list[int]:
        """End everything; the processes that were still there afterwards, which are killed."""
        for process in reversed(self.running.values()):
            process.terminate()
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
        left = at_work_in(self.root)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def _type_all(self, commands: tuple[str, ...], who: str) -> None:
        for command in commands:
            if who not in HOSPITALS[1:] or any(word in command for word in _ALL_MUST):
                self.type(command, who)

    def _as_typed(self, command: str, who: str) -> str:
        """The guide's command with the addresses of this machine, and with this hospital's name."""
        changes = {"fed.example.org": LOOPBACK, "0.0.0.0": LOOPBACK, "8443": str(self.port)}
        if who != CONSORTIUM:
            changes["hospital-a"] = who
        for stands, here in changes.items():
            command = command.replace(stands, here)
        return command

    def _environment(self) -> dict[str, str]:
        commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": commands, **self.variables}


@contextmanager
def guided(root: Path) -> Iterator[Guided]:
    """Four empty places; nothing may be left running afterwards."""
    for who in (CONSORTIUM, *HOSPITALS):
        (root / who).mkdir()
    lab = Guided(root)
    try:
        yield lab
    finally:
        left = lab.close()
    assert left == [], f"processes were left: {left}"


def mail(source: Path, target: Path) -> None:
    """A file on its way between two places."""
    shutil.copyfile(source, target)


def _is_only_slow(found: str) -> bool:
    """On a machine with much else to do, torch may not be loaded in the seconds that `check` has for it."""
    failed = [line for line in found.splitlines() if line.startswith("  fail")]
    return all(line.split()[1] in ("device:", "training") for line in failed) and found.count("  ok ") > 10


def _trains(pid: int, path: bytes) -> bool:
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"client.trainer_child" in line and path in line
    return False
