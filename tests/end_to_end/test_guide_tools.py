"""What the guides say of installing, of trying a plan out, and of `make chaos`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.cli import run_app
from simulation.cli import app
from tests.end_to_end.shown import shown
from tests.end_to_end.tiny import phantom_config

ROOT = Path(__file__).parents[2]


def test_the_pinned_installation_holds_together() -> None:
    """The guides' very command without its last step; what is installed answers for the packages' index."""
    pytest.importorskip("hatchling", reason="the package is built with hatchling, which is not installed here")
    assert shown("site-guide.md", "pip install")
    command = {shown(page, "pip install -c constraints.txt .") for page in ("operations.md", "site-guide.md")}
    (words,) = (line.split() for line in command)
    local = ["--dry-run", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", *words, *local],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Would install fedmets-" in done.stdout


def test_an_experiment_is_tried_out_in_one_process(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = shown("operations.md", "fedmets-sim run").split()
    options = (str(phantom_config(tmp_path)), "--out", str(out), "--arms", "federated")
    assert run_app(app, words[0], (*words[1:], *options)) == 0
    assert (out / "model" / "manifest.json").is_file()


@pytest.mark.skipif(shutil.which("make") is None, reason="no make is installed here")
def test_make_chaos_runs_the_faults() -> None:
    command = shown("operations.md", "make chaos").split()
    done = subprocess.run(
        [*command, "--dry-run", "--no-print-directory"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1].split()
    assert line[-3:] == ["pytest", "-m", "chaos"]
    collected = subprocess.run(
        [sys.executable, *line[1:], "--collect-only", "-q", "tests/end_to_end/chaos"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert len(re.findall(r"^tests/end_to_end/chaos/test_\w+\.py::", collected.stdout, re.MULTILINE)) >= 10
