"""DIR/run/up.json: that the aggregator is up, at which ports and as which processes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from common.durable import storage_errors, write_durably
from common.errors import UserError
from common.processes import boot_id
from common.schema import Frozen
from common.supervisor_state import ProcessRecord
from server.flower_cli import FlowerCli
from server.provisioning import ServerFolder
from server.superlink import executable, flower_environment, flower_folder


class UpRecord(Frozen):
    """An aggregator that was ready.

    Attributes:
        process: of `fedmets-server up`.
        boot: of the machine.
        pids: of the programs, by name; a program that waits to be started again is not in it.
        superlink_port: on 127.0.0.1.
        gateway_port: None when something else stands in front.
        generation: of the server's keys in use.
    """

    schema_version: Literal[1] = 1
    process: ProcessRecord
    boot: str
    pids: Mapping[str, int]
    superlink_port: int
    gateway_port: int | None
    generation: int
    ready_at: AwareDatetime


def run_folder(folder: ServerFolder) -> Path:
    """Where `up` keeps what is true only while it runs."""
    return folder.path / "run"


def write_up(folder: ServerFolder, record: UpRecord) -> None:
    """Put it on disk; raises StorageError."""
    write_durably(run_folder(folder) / "up.json", f"{record.to_json()}\n".encode())


def remove_up(folder: ServerFolder) -> None:
    """Take it away; raises StorageError."""
    with storage_errors(run_folder(folder)):
        (run_folder(folder) / "up.json").unlink(missing_ok=True)


def read_up(folder: ServerFolder) -> UpRecord | None:
    """The aggregator that is up now; None when there is none, also after it was killed."""
    try:
        record = UpRecord.from_json((run_folder(folder) / "up.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return record if record.boot == boot_id() and record.process.is_alive() else None


def running_cli(folder: ServerFolder) -> FlowerCli:
    """Flower's command line for the aggregator that is up; raises UserError when none is."""
    if read_up(folder) is None:
        raise UserError(
            f"{folder.path}: is not up; run fedmets-server up {folder.path} and wait until it is ready"
        )
    return FlowerCli(executable("flwr"), flower_folder(folder).path, flower_environment(folder, os.environ))
