"""A hospital gone bad: a real SuperNode and a real worker, and a desk that lies. `python -m ... SITE_DIR LIE`.

Two do not lie: the "slow" one is five seconds late with its second round, the "hasty" one's clock is three hours
ahead.
"""

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from client.daemon import Daemon
from client.desk import Desk
from client.runtime_api import TaskSource
from client.server_trust import SiteTrust, open_site
from client.site_config import load_site_config
from client.site_folder import SiteFolder
from client.worker import run_worker
from common.durable import write_durably
from common.identity import Domain
from common.keyfiles import write_private_file
from common.plan import Plan
from common.protocol import SiteAnswer, SiteUpdate, TrainReport, TrainTask
from common.stopping import stop_signals
from common.supervise import Supervisor
from common.wire import Envelope, ReplyBody, describe, kind_of, read_body
from server.superlink import free_port

SECRET = b"5" * 64


class Liar:
    """In the place of the trainer: an update of a hundredth everywhere, or what the lie makes of it."""

    def __init__(self, site: str, lie: str) -> None:
        self._site, self._lie = site, lie

    def train(self, task: TrainTask, plan: Plan, deadline_s: float) -> SiteAnswer:
        vector = np.full_like(task.weights.vector, 1e-4)
        report = TrainReport(cases=5, steps=2, loss=0.5, seconds=0.1, train_seconds=0.1, evaluate_seconds=0.0)
        if self._lie in _FACTORS:
            vector = vector * np.float32(_FACTORS[self._lie])
        if self._lie == "slow" and task.round_id == 2:
            time.sleep(deadline_s + 5.0)
        return SiteUpdate(self._site, task.plan_id, task.round_id, task.weights.with_vector(vector), report)


_FACTORS: Mapping[str, float] = {"nan": float("nan"), "10000-times": 1e8}


class LyingDesk:
    """Changes what an honest desk would send."""

    def __init__(self, desk: Desk, trust: SiteTrust, neighbour: SiteTrust, lie: str) -> None:
        self._desk, self._trust, self._neighbour, self._lie = desk, trust, neighbour, lie
        self._first: Envelope | None = None
        self.failed, self.unreadable, self.approved = desk.failed, desk.unreadable, desk.approved

    def answer(self, message: Envelope, bundle_sha256: str) -> Envelope:
        answer = self._desk.answer(message, bundle_sha256)
        if kind_of(answer) != "reply":
            return answer
        body = read_body(ReplyBody, answer)
        match self._lie:
            case "wrong-shapes":
                short = bytes(answer.payload)[:-400]
                data = body.model_copy(update={"payload": describe(short)}).to_json().encode()
                return Envelope(data, self._trust.sign(Domain.UPDATE, data), short)
            case "another-signature":
                return Envelope(answer.body, self._neighbour.sign(Domain.UPDATE, answer.body), answer.payload)
            case "replay":
                self._first = self._first or answer
                return self._first
        return answer


def main(site_dir: Path, lie: str) -> None:
    folder = SiteFolder(site_dir)
    trust = open_site(folder)
    neighbour = open_site(SiteFolder(site_dir.with_name("north")))  # as one who got hold of another site's key
    site, secret, port = trust.kit.site, site_dir / "liar.secret", free_port()
    write_private_file(secret, SECRET)
    daemon = Daemon(folder, load_site_config(site_dir), trust.kit.address, port, secret, None, os.environ)
    skew = timedelta(hours=3.0 if lie == "hasty" else 0.0)
    honest = Desk(folder, Liar(site, lie), lambda: datetime.now(UTC) + skew)
    with (
        stop_signals() as stops,
        Supervisor(site_dir / "liar", lambda event: None, lambda: datetime.now(UTC)) as supervisor,
    ):
        supervisor.start(daemon.node(folder.joined()))
        write_durably(site_dir / "liar.pid", str(os.getpid()).encode())
        source = TaskSource(f"127.0.0.1:{port}", SECRET)
        run_worker(source, LyingDesk(honest, trust, neighbour, lie), stops.wait, lambda plan: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
