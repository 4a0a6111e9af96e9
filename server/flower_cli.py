"""Calling Flower's own command line: one process a call, JSON out, an end to every wait.

`flwr` exits with 0 even when it failed; whether it did stands in the `success` of its JSON.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.cli import one_line
from common.errors import FedmetsError

_CALL_TIMEOUT_S = 60.0
_LONGEST_WORDS = 500


@dataclass(frozen=True, slots=True)
class FlowerCli:
    """The `flwr` command, pointed at one SuperLink by the configuration in its FLWR_HOME.

    Attributes:
        executable: its path.
        home: where it is run.
        environment: all of it, FLWR_HOME included.
        given_up: set by another thread to end a call that is under way.
    """

    executable: str
    home: Path
    environment: Mapping[str, str] = field(repr=False)
    given_up: threading.Event = field(default_factory=threading.Event)

    def call(self, *arguments: str, timeout_s: float = _CALL_TIMEOUT_S) -> Mapping[str, Any]:
        """Run `flwr ARGUMENTS --format json` and return its answer; takes about two seconds.

        Raises:
            FedmetsError: it failed, in Flower's words; or took too long, or was given up.
        """
        command = [self.executable, *arguments, "--format", "json"]
        what = f"flwr {' '.join(arguments[:2])}"
        with subprocess.Popen(
            command,
            cwd=self.home,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal is for us
        ) as process:
            out, err = self._communicate(process, what, timeout_s)
        answer = _last_object(out)
        if not answer.get("success"):
            said = str(answer.get("error-message") or err.decode(errors="replace") or f"code {process.returncode}")
            raise FedmetsError(f"{what} failed: {one_line(said)[:_LONGEST_WORDS]}")
        return answer

    def _communicate(self, process: "subprocess.Popen[bytes]", what: str, timeout_s: float) -> tuple[bytes, bytes]:
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                return process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                if not self.given_up.is_set() and time.monotonic() < end_s:
                    continue
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            why = "was given up" if self.given_up.is_set() else f"did not end within {timeout_s:g} s"
            raise FedmetsError(f"{what} {why}; flower-superlink's log says more")


def _last_object(out: bytes) -> Mapping[str, Any]:
    """The JSON object at the end of the output; notes may stand before it. Empty when there is none."""
    text = out.decode(errors="replace")
    starts = [0] if text.startswith("{") else []
    starts += [index + 1 for index in range(len(text)) if text.startswith("\n{", index)]
    for start in starts:
        try:
            found = json.loads(text[start:])
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}
