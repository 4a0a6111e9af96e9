"""The commands of docs/enrolment.md, as they stand there, in their order, as processes of their own."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "enrolment.md"
MODULES = {"fedmets-server": "server.cli", "fedmets-site": "client.cli"}


def commands() -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def run(folder: Path, command: str, fingerprint: str = "") -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(command.replace("$FINGERPRINT", fingerprint))
    code = f"from {MODULES[program]} import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check_without_data_and_gateway(done: subprocess.CompletedProcess[str]) -> None:
    """All is well with keys, machine and training; fed.example.org is nobody, and no data are named yet."""
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
    failed = [rest.partition(":")[0] for level, rest in lines if level == "fail"]
    assert (done.returncode, failed) == (1, ["site.toml", "route"]), done.stdout
    assert sum(level == "ok" for level, _ in lines) >= 9
    assert "does not hold: site.toml, route" in done.stderr


def test_the_guide_works_from_its_first_command_to_its_last(tmp_path: Path) -> None:
    listed = commands()
    assert len(listed) == 14
    fingerprint = ""
    for command in listed:
        done = run(tmp_path, command, fingerprint)
        if " check " in command:
            check_without_data_and_gateway(done)
            continue
        assert (done.returncode, done.stderr) == (0, ""), command
        if " init " in command:
            fingerprint = done.stdout.partition("authority fingerprint ")[2].strip()
    status = json.loads(run(tmp_path, "fedmets-server status bmfed --json").stdout)
    assert (status["sites"], status["generation"], status["level"]) == ({"hospital-a": "removed"}, 2, "ok")
    assert run(tmp_path, "fedmets-server verify bmfed/audit.jsonl").returncode == 0
    assert run(tmp_path, "fedmets-server verify site/audit.jsonl").returncode == 0


@pytest.mark.parametrize("program", sorted(MODULES))
def test_every_command_named_in_the_guide_exists(program: str, tmp_path: Path) -> None:
    named = set(re.findall(rf"{program} ([a-z]+)", GUIDE.read_text(encoding="utf-8")))
    listed = run(tmp_path, f"{program} --help").stdout
    assert [name for name in sorted(named) if f" {name} " not in listed] == []
