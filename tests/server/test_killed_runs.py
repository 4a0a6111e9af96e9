import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_killed_at_any_fsync_resumes_to_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.server.killed_runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["undisturbed"].startswith("completed ")
    assert len(result["resumed"]) == 22  # fsyncs of a run of 2 rounds: 3 commits of 6, 4 lines of audit
    assert set(result["resumed"]) == {result["undisturbed"]}
