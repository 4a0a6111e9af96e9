"""Small pieces of HTML: everything that comes from outside is escaped here, and numbers are written one way."""

import html
from collections.abc import Callable, Iterable, Sequence

from common.metrics.intervals import Interval

NONE = "–"


def escape(text: object) -> str:
    """Text for HTML, quotes included."""
    return html.escape(str(text), quote=True)


def counted(count: int, what: str) -> str:
    """1 is "1 patient", 2 are "2 patients"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def number(value: float | None, digits: int = 3) -> str:
    """0.6431 is "0.643"; None is a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 0) -> str:
    """0.6431 is "64 %" with a space that does not break."""
    return NONE if value is None else f"{value * 100:.{digits}f}\u00a0%"


def signed(value: float | None, digits: int = 3) -> str:
    """0.05 is "+0.050"; -0.05 has a true minus sign."""
    return NONE if value is None else f"{value:+.{digits}f}".replace("-", "\u2212")


def percent_points(value: float | None) -> str:
    """0.05 is "+5 points"."""
    return NONE if value is None else f"{signed(100 * value, 0)} points"


def signed_rate(value: float | None) -> str:
    """0.75 is "+0.75"."""
    return signed(value, 2)


def ratio(value: float | None) -> str:
    """0.9853 is "98.5 %"."""
    return percent(value, 1)


def span(interval: Interval, write: Callable[[float], str] = number) -> str:
    """The two ends, each written the same way: "0.601 to 0.688"; a dash when there is no interval."""
    if interval.low is None or interval.high is None:
        return NONE
    return f"{write(interval.low)}\u00a0to\u00a0{write(interval.high)}"


def with_span(interval: Interval, write: Callable[[float | None], str]) -> str:
    """A table's cell: the estimate, and its ends in small where there are any."""
    ends = f"<small>{span(interval, write)}</small>" if interval.low is not None else ""
    return f"<b>{write(interval.estimate)}</b>{ends}"


def rate(value: float | None) -> str:
    """A number of false positives: 1.0371 is "1.04"."""
    return number(value, 2)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", kind: str = "") -> str:
    """A table of ready HTML cells; the first cell of a row is its heading. It scrolls sideways when too wide."""
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    told = f"<caption>{caption}</caption>" if caption else ""
    label = f' class="{kind}"' if kind else ""
    inner = f"{told}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table{label}>{inner}</table></div>'


def section(title: str, body: str, anchor: str) -> str:
    """A section of the page, or nothing when there is nothing to show."""
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def bullets(items: Iterable[str]) -> str:
    """A list of ready HTML items, or nothing."""
    inner = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{inner}</ul>" if inner else ""
