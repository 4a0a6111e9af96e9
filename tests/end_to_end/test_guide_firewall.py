"""The rule for nftables of docs/operations.md, loaded into a network of its own and tried by three users."""

import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.shown import blocks_of, shown

OURS, OTHER = "daemon", "nobody"  # users that every Linux has; the first in the place of fedmets
LOAD = "nft -f fedmets.nft"
KNOCK = """
import os, socket, subprocess, sys
"".encode("idna")  # read now: the other users may not reach this Python
load, *users = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
listening = [socket.create_server((host, 18000), family=family) for family, host in
             ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))]
def said(host, user):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))
        try:
            socket.create_connection((host, 18000), 5).close()
            os.write(writing, b"let in")
        except OSError as error:
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return os.read(reading, 100).decode()
def all_of_them():
    print(*(f"{host} {user}: {said(host, user)}" for host in ("127.0.0.1", "::1") for user in users), sep="; ")
all_of_them()
subprocess.run(load.split(), check=True)
all_of_them()
"""


def in_a_network_of_its_own(*command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["unshare", "--net", *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(shutil.which("nft") is None, reason="no nft is installed here")
def test_only_root_and_the_aggregators_user_reach_superlink(tmp_path: Path) -> None:
    if in_a_network_of_its_own("true", folder=tmp_path).returncode:
        pytest.skip("no right to make a network namespace")
    (rule,) = ("\n".join(lines) for lines in blocks_of("operations.md", "nft"))
    assert rule.count("{ root, fedmets }") == 1
    (tmp_path / "fedmets.nft").write_text(rule.replace("root, fedmets", f"root, {OURS}") + "\n")
    users = {name: str(pwd.getpwnam(name).pw_uid) for name in ("root", OURS, OTHER)}
    load = shown("operations.md", LOAD)
    done = in_a_network_of_its_own(sys.executable, "-c", KNOCK, load, *users.values(), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.splitlines()
    assert before.count("let in") == 6
    answers = dict(answer.split(": ") for answer in after.split("; "))
    refused = {who for who, answer in answers.items() if answer == "ConnectionRefusedError"}
    assert refused == {f"{host} {users[OTHER]}" for host in ("127.0.0.1", "::1")}
    assert sum(answer == "let in" for answer in answers.values()) == 4
