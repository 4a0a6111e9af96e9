"""Two machines on one: an aggregator and a hospital in network namespaces of their own, and a line between."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

SERVER = "10.78.0.1"  # on the aggregator's own loopback device, so that it stays when the line goes
_NEAR, _FAR = "10.77.0.1", "10.77.0.2"


@dataclass(frozen=True, slots=True)
class Line:
    """A cable between the two; nothing else leads out of either."""

    hub: str
    ward: str

    def at_hub(self, *command: str) -> tuple[str, ...]:
        """A command as it runs on the aggregator's machine."""
        return ("ip", "netns", "exec", self.hub, *command)

    def at_ward(self, *command: str) -> tuple[str, ...]:
        """A command as it runs on the hospital's machine."""
        return ("ip", "netns", "exec", self.ward, *command)

    def cut(self) -> None:
        """Pull the plug: whatever either side sends is lost without an answer."""
        _ip("-n", self.hub, "link", "set", "line", "down")

    def mend(self) -> None:
        """Put it back."""
        _ip("-n", self.hub, "link", "set", "line", "up")


@contextmanager
def two_machines() -> Iterator[Line]:
    """Both namespaces and the line; skips the test where they may not be made. Both are gone afterwards."""
    line = Line(f"fedmets-hub-{os.getpid()}", f"fedmets-ward-{os.getpid()}")
    made = subprocess.run(["ip", "netns", "add", line.hub], check=False, capture_output=True)
    if made.returncode:
        pytest.skip(f"no right to make network namespaces: {made.stderr.decode().strip()}")
    try:
        _ip("netns", "add", line.ward)
        _ip("-n", line.hub, "link", "add", "line", "type", "veth", "peer", "name", "line", "netns", line.ward)
        for name, address in ((line.hub, _NEAR), (line.ward, _FAR)):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "line")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "line", "up")
        _ip("-n", line.hub, "addr", "add", f"{SERVER}/32", "dev", "lo")
        _ip("-n", line.ward, "route", "add", SERVER, "via", _NEAR)
        yield line
    finally:
        for name in (line.hub, line.ward):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
