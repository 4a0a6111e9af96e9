"""Run a typer app as a well-behaved command: every refusal is one line on stderr, every exit code means something.

0    done
1    a failure of ours, or a check that did not hold
2    the user's mistake: a wrong option, a configuration that does not fit, a file that is not there
130  interrupted by Ctrl-C
141  the reader of our output went away, as in `... | head -1`

A command may end with a code of its own through `typer.Exit(code)`.
"""

import errno
import logging
import os
import select
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import click
import typer

from common.errors import FedmetsError
from common.interrupts import interrupts_not_lost
from common.packages import check_packages

FAILED = 1
USER_MISTAKE = 2
INTERRUPTED = 130
READER_GONE = 141
_LONGEST_FOREIGN_MESSAGE = 300


def new_app(summary: str) -> typer.Typer:
    """An empty app with the house settings; `summary` is the first line of its `--help`."""
    return typer.Typer(
        help=summary,
        epilog="Every command takes --debug, which shows the traceback of an error.",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def run_app(app: typer.Typer, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing is raised but SystemExit.

    Args:
        app: the commands.
        prog: the command's name, which starts every line of error.
        argv: arguments without the command's name; None takes the process's own. `--debug` may stand anywhere
            in them: it adds tracebacks and the warnings of libraries.
    """
    arguments, debug = _take_debug(sys.argv[1:] if argv is None else argv)
    try:
        with _quiet_libraries(debug), interrupts_not_lost():
            check_packages()
            code = _invoke(app, prog, arguments)
        sys.stdout.flush()
        return code
    except click.ClickException as error:
        return _fail(prog, _usage_message(error, prog), USER_MISTAKE, debug)
    except FedmetsError as error:
        return _fail(prog, str(error), error.exit_code, debug)
    except (KeyboardInterrupt, click.Abort):
        return _fail(prog, "interrupted; the same command goes on where this one stopped", INTERRUPTED, debug)
    except Exception as error:  # noqa: BLE001 (the edge of the process: nothing may pass it but one line)
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return READER_GONE
        return _fail(prog, _foreign_message(error), FAILED, debug)


def _invoke(app: typer.Typer, prog: str, arguments: list[str]) -> int:
    """Parse and run without click's own error printing; the code is 0 unless the command chose one."""
    command = typer.main.get_command(app)
    try:
        with command.make_context(prog, arguments) as context:
            command.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return 0


def _take_debug(argv: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments without `--debug`, and whether it was there; what follows a bare `--` is left alone."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    kept = [argument for argument in argv[:end] if argument != "--debug"]
    return kept + list(argv[end:]), len(kept) < end


@contextmanager
def _quiet_libraries(debug: bool) -> Iterator[None]:
    """Keep the warnings of libraries off the user's terminal unless debugging; restored afterwards."""
    if debug:
        yield
        return
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def _fail(prog: str, message: str, code: int, debug: bool) -> int:
    """Print the one line, after the traceback when debugging; must be called while the error is handled."""
    if debug:
        traceback.print_exc()
    kind = "" if code == INTERRUPTED else "error: "
    try:
        print(f"{prog}: {kind}{one_line(message)}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        _silence(sys.stderr)
    return code


def one_line(text: str) -> str:
    """The text without line breaks and unprintable characters: "a\\n  b" is "a b"."""
    joined = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return "".join(character if character.isprintable() else "?" for character in joined)


def _usage_message(error: click.ClickException, prog: str) -> str:
    hint = " Did you mean "
    text = hint.join(error.format_message().split(hint)[:2]).rstrip(".")  # typer repeats click's own hint
    context = getattr(error, "ctx", None)
    return f"{text[:1].lower()}{text[1:]} (see '{context.command_path if context else prog} --help')"


def _foreign_message(error: Exception) -> str:
    """One line for an exception that is not of our tree."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = error.filename or "the output folder"
        return f"{place}: no space left on the disk; free some and run the same command again"
    text = one_line(str(error))[:_LONGEST_FOREIGN_MESSAGE]
    return f"unexpected {type(error).__name__}: {text or 'no message'}; run again with --debug for the traceback"


def _reader_is_gone() -> bool:
    """Whether the pipe that broke is our output, and not one to a process of ours."""
    gone = False
    for stream in (sys.stdout, sys.stderr):
        try:
            poll = select.poll()
            poll.register(stream.fileno(), 0)  # errors and hang-ups are always reported
        except (OSError, ValueError):  # closed, or not a file at all
            continue
        if poll.poll(0):
            _silence(stream)
            gone = True
    return gone


def _silence(stream: TextIO) -> None:
    """Send what is left in a broken stream's buffer nowhere, or the interpreter complains at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
