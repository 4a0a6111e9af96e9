"""The gateway as a process of its own, started and ended by a test."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.gateway_config import GatewayConfig, GatewayLimits
from server.provisioning import ServerFolder
from tests.server.https import Place

START_S = 20.0


@dataclass(frozen=True)
class RunningGateway:
    place: Place
    process: "subprocess.Popen[str]"
    log: Path

    def end(self) -> int:
        """Exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_S)


@contextmanager
def gateway(
    folder: ServerFolder,
    root: Path,
    upstream_port: int,
    limits: GatewayLimits,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[RunningGateway]:
    """A gateway at a port of the kernel's choice, or at this one."""
    keys = folder.server_keys()
    config = GatewayConfig(
        listen=host,
        port=port,
        certificate=keys.tls_certificate,
        key=keys.tls_key,
        authority=folder.authority_certificate,
        upstream_port=upstream_port,
        limits=limits,
    )
    file, log = root / "gateway.json", root / "gateway.log"
    file.write_text(config.to_json())
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server.gateway", str(file)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    with process:
        assert process.stdout is not None
        try:
            assert select.select([process.stdout], [], [], START_S)[0], log.read_text()
            line = process.stdout.readline()
            assert "listening at" in line, log.read_text()
            port = int(line.split()[3].rpartition(":")[2])
            yield RunningGateway(Place(host, port, folder.authority_certificate), process, log)
        finally:
            process.kill()
