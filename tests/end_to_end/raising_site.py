"""A hospital whose training breaks in a transform: a real SuperNode, worker and desk. `python -m ... SITE_DIR`.

What passes between worker and SuperNode is kept in SITE_DIR/wire. With the arguments SITE_DIR SITE SOCKET PARENT
it is the training process of that hospital.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import torch

from client import trainer_child
from client.daemon import Daemon
from client.desk import Desk
from client.runtime_api import TaskSource
from client.server_trust import open_site
from client.site_config import load_site_config
from client.site_folder import SiteFolder
from client.trainer import Trainer
from client.worker import run_worker
from common.keyfiles import write_private_file
from common.stopping import stop_signals
from common.supervise import Supervisor
from server.superlink import free_port
from tests.end_to_end.wire_recorder import recording, relay

PATIENT = "MUELLER^HANS"
SECRET = b"5" * 64


def break_transforms() -> None:
    """Let the innermost call of the training's transforms fail as a library would: with all that it knows."""

    def fail(self: torch.Tensor, *arguments: object) -> NoReturn:
        raise RuntimeError(f"cannot read /pacs/{PATIENT}/19570412/t1c.nii.gz of patient {PATIENT}")

    setattr(torch.Tensor, "flip", fail)  # noqa: B010


def work(site_dir: Path) -> None:
    folder = SiteFolder(site_dir)
    trust = open_site(folder)
    site, secret, port = trust.kit.site, site_dir / "raising.secret", free_port()
    write_private_file(secret, SECRET)
    daemon = Daemon(folder, load_site_config(site_dir), trust.kit.address, port, secret, None, os.environ)
    command = (sys.executable, "-m", "tests.end_to_end.raising_site", str(site_dir), site)
    with (
        stop_signals() as stops,
        Supervisor(site_dir / "raising", lambda event: None, lambda: datetime.now(UTC)) as supervisor,
        recording(site_dir / "wire", relay(port)) as runtime_port,
    ):
        supervisor.start(daemon.node(folder.joined()))
        trainer = Trainer(site, command, lambda: stops.wait(0.0), 5.0)
        try:
            source = TaskSource(f"127.0.0.1:{runtime_port}", SECRET)
            run_worker(source, Desk(folder, trainer, lambda: datetime.now(UTC)), stops.wait, lambda plan: None)
        finally:
            trainer.close()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        break_transforms()
        sys.exit(trainer_child.main(sys.argv[1:]))
    work(Path(sys.argv[1]))
