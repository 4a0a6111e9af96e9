"""Small pieces of Markdown; text that comes from outside is escaped here, and numbers are written one way."""

import re
from collections.abc import Iterable, Sequence

NONE = "–"
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def plain(text: object) -> str:
    r"""Text from outside on one line, no character of which is markup: "a|b" is "a\|b"."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def code(text: object) -> str:
    """A name or a value as code, on one line: "unet" is "`unet`"; backticks fall off."""
    return f"`{' '.join(str(text).split()).replace('`', '').replace('|', '/')}`"


def number(value: float | None, digits: int = 3) -> str:
    """0.6431 is "0.643"; a negative one has a true minus sign; None is a dash."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def with_range(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """An estimate with its interval, "0.705 (0.647 to 0.759)"; without one the estimate alone."""
    if value is None or low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of ready cells, the first column a heading."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    """A list, one item a line."""
    return "\n".join(f"- {item}" for item in items)


def section(title: str, *paragraphs: str, level: int = 2) -> str:
    """A heading and its paragraphs; the empty ones are left out."""
    return "\n\n".join([f"{'#' * level} {title}", *(paragraph for paragraph in paragraphs if paragraph)])


def document(*sections: str) -> str:
    """Sections with a blank line between them, and a line's end at the end."""
    return "\n\n".join(section for section in sections if section) + "\n"
