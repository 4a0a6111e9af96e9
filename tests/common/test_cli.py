"""The command-line shell: one line on stderr, and a code that means something."""

import errno
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Annotated

import click
import pytest
import typer

from common.cli import new_app, one_line, run_app
from common.errors import AuditBroken, ConfigError

FAILURES: dict[str, BaseException] = {
    "user": ConfigError("demo.toml: unknown key 'round'"),
    "ours": AuditBroken("audit.jsonl, line 3: edited"),
    "unexpected": RuntimeError("first line\nsecond line"),
    "interrupt": KeyboardInterrupt(),
    "abort": click.Abort(),
    "partial": typer.Exit(3),
    "full": OSError(errno.ENOSPC, "No space left on device", "runs/demo/model"),
    "pipe-to-a-worker": BrokenPipeError(errno.EPIPE, "Broken pipe"),
}


def make_app() -> typer.Typer:
    app = new_app("A command for tests.")

    @app.command()
    def fail(how: str) -> None:
        """Fail in a chosen way."""
        raise FAILURES[how]

    @app.command()
    def add(first: Annotated[int, typer.Option()], second: Annotated[int, typer.Option()] = 1) -> None:
        """Add."""
        print(first + second)

    @app.command()
    def warn() -> None:
        """Warn as libraries do."""
        warnings.warn("of something", UserWarning, stacklevel=1)
        logging.getLogger("library").warning("of another thing")

    return app


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = run_app(make_app(), "fedmets-test", argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_success_is_0_and_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "add", "--first", "2") == (0, "3\n", "")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["add"], "missing option '--first'"),
        (["add", "--first", "two"], "'two' is not a valid integer"),
        (["add", "--first"], "'--first' requires an argument"),
        (["add", "--frist", "2"], "no such option"),
        (["add", "--first", "2", "3"], "unexpected extra argument (3)"),
        (["ad"], "no such command 'ad'. Did you mean 'add'?"),
        ([], "missing command"),
    ],
)
def test_usage_error_is_one_line_and_2(capsys: pytest.CaptureFixture[str], argv: list[str], text: str) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("fedmets-test: error: ")
    assert err.count("\n") == 1
    assert text.lower() in err.lower()
    assert "--help'" in err


def test_users_mistake_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fail", "user") == (2, "", "fedmets-test: error: demo.toml: unknown key 'round'\n")


def test_failure_of_ours_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fail", "ours") == (1, "", "fedmets-test: error: audit.jsonl, line 3: edited\n")


def test_unexpected_exception_is_1_and_one_line_with_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "fail", "unexpected")
    assert code == 1
    assert err == (
        "fedmets-test: error: unexpected RuntimeError: first line second line; "
        "run again with --debug for the traceback\n"
    )


def test_full_disk_is_said_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "fail", "full")
    assert code == 1
    assert err.startswith("fedmets-test: error: runs/demo/model: no space left on the disk; free some")


@pytest.mark.parametrize("how", ["interrupt", "abort"])
def test_interrupt_is_130_and_says_that_the_command_goes_on(capsys: pytest.CaptureFixture[str], how: str) -> None:
    code, _, err = run(capsys, "fail", how)
    assert code == 130
    assert err == "fedmets-test: interrupted; the same command goes on where this one stopped\n"


def test_command_may_end_with_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fail", "partial") == (3, "", "")


@pytest.mark.parametrize(
    "argv", [["--debug", "fail", "user"], ["fail", "--debug", "user"], ["fail", "user", "--debug"]]
)
def test_debug_anywhere_adds_the_traceback(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1] == "fedmets-test: error: demo.toml: unknown key 'round'"


def test_debug_after_a_bare_double_dash_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "fail", "--", "--debug")
    assert code == 1
    assert "unexpected KeyError: '--debug'" in err
    assert "Traceback" not in err


def test_warnings_of_libraries_show_only_when_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "warn") == (0, "", "")
    assert logging.root.manager.disable == logging.NOTSET
    with pytest.warns(UserWarning, match="of something"):
        run(capsys, "warn", "--debug")


def test_pipe_broken_elsewhere_is_not_taken_for_a_reader_that_left(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "fail", "pipe-to-a-worker")
    assert code == 1
    assert "unexpected BrokenPipeError" in err


def test_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    script = tmp_path / "talk.py"
    script.write_text(
        "import sys\n"
        "from common.cli import new_app, run_app\n"
        "app = new_app('Talk.')\n"
        "@app.command()\n"
        "def talk() -> None:\n"
        "    while True:\n"
        "        print('word')\n"
        "sys.exit(run_app(app, 'talk', []))\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"word\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


def test_one_line_keeps_control_characters_off_the_terminal() -> None:
    assert one_line("a\n  b\r\n\x1b[31mc") == "a b ?[31mc"
