import io
import json
import re
import sys

import pytest

from simulation.progress import (
    JsonProgress,
    PlainProgress,
    Progress,
    TerminalProgress,
    WatchedProgress,
    build_progress,
)


def tell(progress: Progress) -> None:
    """A resumed stage: two of four steps were made before."""
    progress.stage("federated", 4, done=2)
    progress.advance("loss 0.5")
    progress.note("site west is [bold]late[/bold]")
    progress.advance("loss 0.4")


def test_plain_lines_count_from_where_the_stage_stood() -> None:
    stream = io.StringIO()
    tell(PlainProgress(stream))
    lines = [re.sub(r"\d+ s", "N s", line) for line in stream.getvalue().splitlines()]
    assert lines == [
        "federated 3/4 (N s, about N s left) loss 0.5",
        "site west is [bold]late[/bold]",
        "federated 4/4 (N s, about N s left) loss 0.4",
    ]


def test_json_is_one_object_a_line() -> None:
    stream = io.StringIO()
    tell(JsonProgress(stream))
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"event": "stage", "stage": "federated", "total": 4, "done": 2},
        {"event": "step", "stage": "federated", "done": 3, "total": 4, "text": "loss 0.5"},
        {"event": "note", "text": "site west is [bold]late[/bold]"},
        {"event": "step", "stage": "federated", "done": 4, "total": 4, "text": "loss 0.4"},
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_notes_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with build_progress(as_json=False) as progress:
        assert isinstance(progress, TerminalProgress)
        tell(progress)
    assert "site west is [bold]late[/bold]" in stream.getvalue()
    assert "4/4" in stream.getvalue()
    assert progress.bars.finished
    assert not progress.bars.live.is_started


def test_watching_changes_nothing_and_hears_every_step() -> None:
    watched, plain, steps = io.StringIO(), io.StringIO(), []
    tell(PlainProgress(plain))
    tell(WatchedProgress(PlainProgress(watched), lambda: steps.append(watched.getvalue().count("\n"))))
    assert watched.getvalue() == plain.getvalue()
    assert steps == [1, 3]  # after the line of each step


def test_json_goes_to_a_program_and_plain_lines_to_a_log() -> None:
    with build_progress(as_json=True) as progress:
        assert isinstance(progress, JsonProgress)
    with build_progress(as_json=False) as progress:
        assert isinstance(progress, PlainProgress)
