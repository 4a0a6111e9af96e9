"""A real SuperLink and SuperExec on the loopback, and an app that puts one question to every node."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from client.joining import compare_with, join_federation
from client.requesting import request_enrollment
from client.site_folder import SiteFolder
from common.supervise import Supervisor
from common.wire import Envelope
from server.bundle import build_bundle
from server.enrollment import enroll_site
from server.flower_cli import FlowerCli
from server.nodes import reconcile
from server.provisioning import ServerFolder, init_federation
from server.superlink import (
    CONNECTION,
    flower_environment,
    free_port,
    is_healthy,
    point_cli,
    superexec_program,
    superlink_program,
)

NOW = datetime.now(UTC).replace(microsecond=0)
_PROJECT = """\
[project]
name = "lab"
version = "1.0.0"
description = "puts one question to every node"
license = { file = "LICENSE" }
dependencies = ["flwr>=1.41,<1.42"]
[tool.flwr.app]
publisher = "lab"
fab-format-version = 1
flwr-version-target = "1.41.0"
fab-include = ["LICENSE", "lab/*.py"]
[tool.flwr.app.components]
serverapp = "lab.server:app"
clientapp = "lab.client:app"
[tool.flwr.app.config]
folder = ""
"""
_CLIENT = """\
from pathlib import Path
Path("MARKER").write_text("the bundle's client app was imported")
app = None
"""
_SERVER = """\
import json
import time
from pathlib import Path

from flwr.app import Message
from flwr.serverapp import ServerApp

from common.flower import from_record, to_record
from common.identity import Signature
from common.wire import Envelope

app = ServerApp()


@app.main()
def main(grid, context):
    folder = Path(context.run_config["folder"])
    question = json.loads((folder / "question.json").read_text())
    payload = (folder / "payload").read_bytes()
    record = to_record(Envelope(question["body"].encode(), Signature(**question["signature"]), payload))
    while not (nodes := list(grid.get_node_ids())):
        time.sleep(0.2)
    messages = [Message(record, dst_node_id=node, message_type="train") for node in nodes]
    replies = list(grid.send_and_receive(messages, timeout=120))
    answers = [None if reply.has_error() else from_record(reply.content).body.decode() for reply in replies]
    (folder / "answers.tmp").write_text(json.dumps(answers))
    (folder / "answers.tmp").rename(folder / "answers.json")
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """A federation whose SuperLink runs."""

    folder: ServerFolder
    port: int
    cli: FlowerCli
    supervisor: Supervisor

    def follow_registry(self) -> None:
        """Register the nodes of active sites and unregister the others."""
        reconcile(self.folder, self.cli, NOW, relist=True)

    def add_site(self, name: str, folder: Path) -> SiteFolder:
        """A hospital that has joined, with a site.toml of no cases; its node is registered."""
        site = SiteFolder(folder)
        request = request_enrollment(site, name, NOW).file
        enroll_site(self.folder, request, folder / "kit", NOW)
        join_federation(site, folder / "kit", compare_with(self.folder.authority().fingerprint), NOW)
        (folder / "site.toml").write_text(f'device = "cpu"\n[data]\nadapter = "ucsf_bmsr"\nroot = "{folder}"\n')
        self.follow_registry()
        return site

    def write_app(self, scratch: Path) -> Path:
        """The app's sources, the same for the same folder."""
        app = scratch / "app"
        (app / "lab").mkdir(parents=True, exist_ok=True)
        files = {"pyproject.toml": _PROJECT, "LICENSE": "none\n", "lab/__init__.py": "", "lab/server.py": _SERVER}
        files["lab/client.py"] = _CLIENT.replace("MARKER", str(scratch / "imported"))
        for name, text in files.items():
            (app / name).write_text(text)
        return app

    def bundle_sha256(self, scratch: Path) -> str:
        """What a plan must name for its tasks to be worked on in a run of the app."""
        return sha256(build_bundle(self.write_app(scratch))).hexdigest()

    def ask(self, question: Envelope, scratch: Path) -> Path:
        """Submit the app; the file in which the bodies of all answers will appear."""
        app = self.write_app(scratch)
        (scratch / "question.json").write_text(
            json.dumps({"body": bytes(question.body).decode(), "signature": question.signature.model_dump()})
        )
        (scratch / "payload").write_bytes(question.payload)
        self.cli.call("run", str(app), CONNECTION, "--run-config", f"folder={json.dumps(str(scratch))}")
        return scratch / "answers.json"


@contextmanager
def running_lab(scratch: Path) -> Iterator[Lab]:
    """Found a federation whose gateway is its SuperLink, and run that."""
    port = free_port()
    folder = init_federation(scratch / "fed", "LAB", ("127.0.0.1",), port, NOW)
    environment = flower_environment(folder, {"PATH": "/usr/bin:/bin"})
    with Supervisor(scratch / "lab-run", lambda event: None, lambda: datetime.now(UTC)) as supervisor:
        supervisor.start(superlink_program(folder, port, environment))
        wait_for(lambda: is_healthy("127.0.0.1", port, folder.authority_certificate), 40, supervisor)
        supervisor.start(superexec_program(folder, port, environment))
        yield Lab(folder, port, point_cli(folder, port, environment), supervisor)


def wait_for(is_so: Callable[[], bool], seconds: float, supervisor: Supervisor | None = None) -> None:
    """Poll until something is so; fails the test after so many seconds."""
    end_s = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end_s, f"not so after {seconds} s"
        if supervisor is not None:
            supervisor.poll()
        time.sleep(0.05)
