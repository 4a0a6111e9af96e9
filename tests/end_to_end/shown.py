"""The commands that the guides show, wherever they stand: in blocks, and within sentences."""

import re
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("operations.md", "site-guide.md", "threat-model.md")
NO_COMMANDS = frozenset({"json", "text", "toml"})  # fences that show what is written or printed
_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_SETTING = re.compile(r"[\w.]+ = ")


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def fences(page: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every fenced block: what it says it is, such as `sh`, and its lines without a `$ ` before them."""
    return [
        (kind, tuple(line.removeprefix("$ ") for line in body.splitlines()))
        for kind, body in _FENCE.findall(text_of(page))
    ]


def blocks_of(page: str, kind: str) -> list[tuple[str, ...]]:
    return [lines for found, lines in fences(page) if found == kind]


def in_sentences(page: str) -> set[str]:
    """Code of several words between single back quotes that is no option and no setting."""
    running = _FENCE.sub("", text_of(page))
    spans = {" ".join(span.split()) for span in _SPAN.findall(running)}
    return {span for span in spans if " " in span and not span.startswith("--") and not _SETTING.match(span)}


def shown(page: str, command: str, places: Mapping[str, str] | None = None) -> str:
    """A command as the page shows it, with what it leaves open filled in; fails when the page shows it no more."""
    lines = {line for kind, block in fences(page) if kind not in NO_COMMANDS for line in block}
    assert command in lines | in_sentences(page), f"{page} does not show: {command}"
    for stands, here in (places or {}).items():
        assert stands in command, f"{command} has no {stands}"
        command = command.replace(stands, here)
    return command
