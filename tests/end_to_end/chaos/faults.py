"""What befalls a machine, brought about from outside the process that has to live with it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.superlink import executable
from tests.end_to_end.live import PATIENCE_S, Live
from tests.end_to_end.tiny import SITES

TRAINER = "client.trainer_child"
ROOM_BYTES = 8_000_000


def bring_up(live: Live) -> None:
    """The aggregator, its three sites, and the run."""
    live.up()
    for site in SITES:
        live.join(site)
    live.begin()


@contextmanager
def held(live: Live, site: str) -> Iterator[None]:
    """For as long as the block lasts the site's training stands still, and with it the round."""
    live.wait_until(lambda: live.working(site, TRAINER) != [], f"{site} has a training process")
    trainers = live.working(site, TRAINER)
    for pid in trainers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in trainers:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)


@contextmanager
def small_disk(place: Path, room_bytes: int = ROOM_BYTES) -> Iterator[Path]:
    """A disk of 8 MB in memory, or of this size, mounted at a folder that is made."""
    place.mkdir(parents=True)
    size = f"size={room_bytes}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "none", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no right to mount: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left on the disk while the block lasts."""
    filler = disk / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            os.write(file.fileno(), bytes(4096))
    assert shutil.disk_usage(disk).free == 0
    try:
        yield
    finally:
        filler.unlink()


def resume(live: Live) -> "subprocess.CompletedProcess[str]":
    """`fedmets-server resume DIR PLAN --wait`, as a person types it."""
    return subprocess.run(
        [executable("fedmets-server"), "resume", str(live.server.path), live.kept.body.plan_id[:12], "--wait"],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )


def site_says(live: Live, site: str, *command: str) -> str:
    """What a command of the site prints; whether it is content is in the text."""
    done = subprocess.run(
        [executable("fedmets-site"), *command, str(live.site(site).path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout + done.stderr
