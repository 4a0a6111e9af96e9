"""The example of docs/planning.md prints what stands below it."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "planning.md"


def test_the_worked_example_prints_what_the_guide_shows(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    exec(compile(found[1], str(GUIDE), "exec"), {})
    assert capsys.readouterr().out == found[2]
    assert "patch_size    [160, 192, 80]" in found[2]
