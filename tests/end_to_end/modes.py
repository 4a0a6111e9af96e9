"""The table "Where things lie" of the site guide, held against a real site's folder."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.guided import DOCS

_TITLE = "## Where things lie\n"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        patterns: of the paths within SITE_DIR; `plans/ID/` is a folder and all that lies in it.
        modes: that a file may have, for the guide tells which of them when; none where the hospital chooses.
        folder: mode of the folder right in SITE_DIR; None where the row names none.
    """

    patterns: tuple[re.Pattern[str], ...]
    modes: frozenset[int]
    folder: int | None

    def covers(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self.patterns)


def rows() -> list[Row]:
    """The table, in its order."""
    text = (DOCS / "site-guide.md").read_text(encoding="utf-8").partition(_TITLE)[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [_row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


def not_as_told(site: Path, umask: int) -> list[str]:
    """Every file whose mode is another than the table's, or that has no row; the guide's umask is 022.

    Args:
        site: SITE_DIR, with whatever has come to lie in it.
        umask: under which that was written.
    """
    table, wrong = rows(), []
    for path in sorted(site.rglob("*")):
        within = path.relative_to(site)
        if not path.is_file():
            continue
        row = next((row for row in table if row.covers(within.as_posix())), None)
        if row is None:
            wrong.append(f"{within}: no row")
        elif row.modes and _mode(path) not in {mode & ~umask for mode in row.modes}:
            wrong.append(f"{within}: {_mode(path):o}")
        elif row.folder is not None and _mode(site / within.parts[0]) != row.folder & ~umask:
            wrong.append(f"{within.parts[0]}/: {_mode(site / within.parts[0]):o}")
    return wrong


def current_umask() -> int:
    """Of this process; it can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _row(paths: str, _what: str, _secret: str, mode: str) -> Row:
    names = re.findall(r"`([^`]+)`", paths)
    folder = names[0].rpartition("/")[0] if not names[0].endswith("/") else ""
    full = [name if "/" in name or not folder else f"{folder}/{name}" for name in names]
    told, _, above = mode.partition("in a folder of mode ")
    files = frozenset(int(octal, 8) for octal in re.findall(r"\b[0-7]{3}\b", told))
    chosen = mode.startswith("as you make it")
    return Row(
        tuple(_pattern(name) for name in full),
        frozenset() if chosen else files,
        int(above[:3], 8) if above else None,
    )


def _pattern(name: str) -> re.Pattern[str]:
    """`ID` and a number of a generation stand for any; a folder for all in it."""
    wild = re.sub(r"\b(ID|0001)\b", "*", name)
    return re.compile(re.escape(wild).replace(r"\*", "[^/]*") + (".*" if wild.endswith("/") else ""))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
