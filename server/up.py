"""`fedmets-server up`: the aggregator's three programs, and the sites' nodes, for as long as it runs.

gateway      faces the network and forwards what a SuperNode needs, nothing else
superlink    Flower's message store, on the loopback address
superexec    starts server/app.py when a run is submitted
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.durable import write_durably
from common.errors import StorageError
from common.launching import Backoff, Program
from common.processes import boot_id
from common.stopping import stop_signals
from common.supervise import Supervisor
from common.supervisor_state import ProcessRecord, record_of
from server.bundle import write_bundle
from server.gateway import listen
from server.gateway_config import gateway_config
from server.provisioning import ServerFolder
from server.serverapp_main import put_on_path
from server.superlink import (
    LOOPBACK,
    flower_environment,
    flower_folder,
    free_port,
    is_healthy,
    point_cli,
    prepare_database,
    superexec_program,
    superlink_program,
)
from server.up_ends import Ends, Patience
from server.up_record import UpRecord, remove_up, run_folder, write_up
from server.upkeep import Upkeep

_POLL_S = 0.5
_PROGRAMS = ("superlink", "superexec", "gateway")
_EVERYWHERE = ("0.0.0.0", "::")
_GATEWAY_BACKOFF = Backoff(first_s=1.0, factor=2.0, longest_s=60.0)


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What is chosen at each start.

    Attributes:
        listen: the address at which the gateway listens; the port is the federation's.
        superlink_port: on 127.0.0.1; 0 takes a free one.
        gateway: False where nginx stands in front.
        passphrase_file: opens the server's identity; None leaves that to FEDMETS_PASSPHRASE_FILE.
    """

    listen: str = "0.0.0.0"
    superlink_port: int = 0
    gateway: bool = True
    passphrase_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Up:
    """One start: the folder, what was chosen, and the port that came of it."""

    folder: ServerFolder
    options: UpOptions
    port: int
    environment: dict[str, str]

    def programs(self) -> Sequence[Program]:
        """In the order of their start, with the server's present keys."""
        front = [gateway_program(self.folder, self.options.listen, self.port, self.environment)]
        return (
            superlink_program(self.folder, self.port, self.environment),
            superexec_program(self.folder, self.port, self.environment),
            *(front if self.options.gateway else ()),
        )

    def superlink_is_healthy(self) -> bool:
        return is_healthy(LOOPBACK, self.port, self.folder.authority_certificate)

    def is_healthy(self, supervisor: Supervisor) -> bool:
        """Whether all programs run and SuperLink answers, through the gateway if there is one."""
        if any(program.state != "running" for program in supervisor.programs()):
            return False
        if not self.options.gateway:
            return self.superlink_is_healthy()
        address = LOOPBACK if self.options.listen in _EVERYWHERE else self.options.listen
        return is_healthy(address, self.folder.federation.port, self.folder.authority_certificate)

    def record(self, supervisor: Supervisor, generation: int, ready_at: datetime) -> UpRecord:
        running = {program.name: program.process for program in supervisor.programs()}
        return UpRecord(
            process=record_of(os.getpid()) or ProcessRecord(pid=os.getpid(), started_ticks=0),
            boot=boot_id(),
            pids={name: process.pid for name, process in running.items() if process is not None},
            superlink_port=self.port,
            gateway_port=self.folder.federation.port if self.options.gateway else None,
            generation=generation,
            ready_at=ready_at,
        )


def run_up(
    folder: ServerFolder, options: UpOptions, clock: Callable[[], datetime], say: Callable[[str], None]
) -> None:
    """Run the aggregator until SIGTERM or SIGINT; nothing of it is left when this returns.

    "ready" is said, and DIR/run/up.json written, once SuperLink answers through the gateway and knows the sites.
    Before that a program that cannot run ends it all (server/up_ends.py); after that it is started again.

    Args:
        folder: the federation's.
        options: see `UpOptions`.
        clock: the time.
        say: told, a line each, what happens to the programs and the nodes.

    Raises:
        OutputError: it is up already.
        UserError: the folder's path has a colon, an address is taken or not this machine's, or a program cannot
            use what it was given.
        FedmetsError: a program or the bundle is not there as it should be, or it is not ready in time.
        StorageError: the folder cannot be written.
    """
    flower = flower_folder(folder)
    ends = Ends({name: flower.log(name) for name in _PROGRAMS}, say)
    with (
        stop_signals() as stops,
        Supervisor(run_folder(folder), ends.tell, clock) as supervisor,
        _removed_at_the_end(folder),
    ):
        environment = flower_environment(folder, os.environ, options.passphrase_file)
        up = _Up(folder, options, options.superlink_port or free_port(), environment)
        keys = KeysInUse(up, supervisor, say)
        programs = up.programs()  # after the look at which keys there are: a later rotation is then noticed
        _refuse_taken(up)
        write_bundle(flower.app)
        put_on_path(folder)
        prepare_database(folder)
        cli = point_cli(folder, up.port, environment)
        for program in programs:
            supervisor.start(program)
        with Upkeep(folder, cli, clock, up.superlink_is_healthy, say) as upkeep:
            record: UpRecord | None = None
            patience = Patience(len(folder.registry.all()), flower.log("superlink").parent)
            while not stops.wait(_POLL_S):
                keys.follow()
                supervisor.poll()
                if record is not None:
                    record = _keep(folder, record, up.record(supervisor, keys.generation, record.ready_at))
                elif upkeep.settled and up.is_healthy(supervisor):
                    record = _keep(folder, None, up.record(supervisor, keys.generation, clock()))
                    say(f"ready: {folder.federation.name} at {folder.federation.address}")
                else:
                    ends.refuse_to_wait(supervisor.programs())
                    patience.keep()
        say(f"ending: {stops.received[0].name}")


def _refuse_taken(up: _Up) -> None:
    """Return if SuperLink and the gateway will be able to listen; raises UserError.

    Whoever has such a port now is not ours: what an earlier `up` had left was ended when the folder was locked.
    """
    places = [(LOOPBACK, up.port)]
    if up.options.gateway:
        places.append((up.options.listen, up.folder.federation.port))
    for address, port in places:
        listen(address, port).close()


def gateway_program(folder: ServerFolder, listen: str, port: int, environment: dict[str, str]) -> Program:
    """The gateway in front of SuperLink's port, with the server's present TLS key."""
    config = run_folder(folder).resolve() / "gateway.json"
    write_durably(config, f"{gateway_config(folder, port, listen=listen).to_json()}\n".encode())
    argv = (sys.executable, "-P", "-m", "server.gateway", str(config))
    return Program("gateway", argv, environment, flower_folder(folder).log("gateway"), backoff=_GATEWAY_BACKOFF)


class KeysInUse:
    """The generation of server keys that the programs were started with, brought up to date after a rotation."""

    def __init__(self, up: _Up, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        self._up, self._supervisor, self._say = up, supervisor, say
        self._said = ""
        self.generation = up.folder.server_keys().generation

    def follow(self) -> None:
        """Start again, with the new keys, what shows a certificate; the former private keys are deleted already.

        On a disk without room for the gateway's configuration all of them go on with what they have in memory.
        That is said once, and the next call tries again.
        """
        present = self._up.folder.server_keys().generation
        if present == self.generation:
            return
        try:
            programs = self._up.programs()
        except StorageError as error:
            self._say_once(f"server keys of generation {present} cannot be taken up yet: {error}; tried again")
            return
        self._say_once(f"server keys of generation {present}: superlink and gateway start again")
        for program in programs:
            if program.name != "superexec":  # knows the authority alone
                self._supervisor.replace(program)
        self.generation = present

    def _say_once(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._say(words)


def _keep(folder: ServerFolder, before: UpRecord | None, record: UpRecord) -> UpRecord:
    """Put a record that has changed on disk; what is there now.

    A disk that fills up must not end programs that can do without: the supervisor, who writes to the same folder,
    says that it is full, and the next look tries again. At the start there is nothing to lose yet.

    Raises:
        StorageError: the first record cannot be written.
    """
    if record == before:
        return record
    try:
        write_up(folder, record)
    except StorageError:
        if before is None:
            raise
        return before
    return record


@contextmanager
def _removed_at_the_end(folder: ServerFolder) -> Iterator[None]:
    """No up.json from an earlier life before the block, none after it."""
    remove_up(folder)
    try:
        yield
    finally:
        remove_up(folder)
