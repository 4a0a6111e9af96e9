"""Runs at the SuperLink: submit one of the thin bundle, look at it, stop it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.errors import FedmetsError
from server.flower_cli import FlowerCli
from server.superlink import CONNECTION

RunValue = str | int | float | bool


class FlowerStatus(StrEnum):
    """How Flower says a run stands."""

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "finished:completed"
    FAILED = "finished:failed"
    STOPPED = "finished:stopped"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.value.startswith("finished:")


@dataclass(frozen=True, slots=True)
class FlowerRun:
    """One run as Flower lists it.

    Attributes:
        bundle_sha256: of the bundle that was submitted.
        details: Flower's words on the status.
    """

    run_id: int
    status: FlowerStatus
    bundle_sha256: str
    details: str


def submit_run(cli: FlowerCli, app: Path, config: Mapping[str, RunValue]) -> int:
    """Submit a run of the bundle and return its number; Flower starts it by itself.

    Args:
        cli: the SuperLink's.
        app: the bundle's sources.
        config: what to change in the bundle's run configuration: {"plan": "3f2a...", "mode": "train"}.

    Raises:
        FedmetsError: Flower refuses, in its words; also for a key that the bundle does not have.
    """
    arguments = ["run", str(app), CONNECTION]
    if config:
        arguments += ["--run-config", " ".join(f"{key}={_as_toml(key, value)}" for key, value in config.items())]
    return int(cli.call(*arguments)["run-id"])


def stop_run(cli: FlowerCli, run_id: int) -> None:
    """Stop a run; raises FedmetsError when it is over already or unknown."""
    cli.call("stop", str(run_id), CONNECTION)


def find_run(cli: FlowerCli, run_id: int) -> FlowerRun:
    """One run; raises FedmetsError when SuperLink does not know it."""
    found = cli.call("ls", CONNECTION, "--run-id", str(run_id))["runs"]
    if not found:
        raise FedmetsError(f"flower-superlink knows no run {run_id}")
    return _read(found[0])


def list_runs(cli: FlowerCli) -> list[FlowerRun]:
    """Every run that SuperLink remembers; raises FedmetsError."""
    return [_read(entry) for entry in cli.call("ls", CONNECTION)["runs"]]


def _read(entry: Mapping[str, str]) -> FlowerRun:
    try:
        status = FlowerStatus(entry["status"])
    except ValueError:
        raise FedmetsError(f"run {entry['run-id']}: Flower says '{entry['status']}', which is no status") from None
    return FlowerRun(int(entry["run-id"]), status, entry["fab-hash"], entry["status-details"])


def _as_toml(key: str, value: RunValue) -> str:
    """A value as `flwr run` reads it: TOML, in which its own parser wants no quotation mark within a string."""
    if isinstance(value, str) and any(character in value for character in "\"'\\\n"):
        raise FedmetsError(f"run configuration: {key} = {value!r} holds a quotation mark, backslash or line break")
    return json.dumps(value)
