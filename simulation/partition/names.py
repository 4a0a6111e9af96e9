"""Site names: what a table or a spreadsheet calls a site, made fit for a plan."""

import re
import unicodedata

_LONGEST = 64  # as common.plan.Name


def site_name(text: str) -> str:
    """A name that a plan accepts, or "" when nothing of the text is left.

    Letters, digits, dots, underscores and hyphens stay; accents fall off; everything else becomes a hyphen:
    "Klinik Süd (3 T)" is "Klinik-Sud-3-T".
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)
    return re.sub(r"^[^A-Za-z0-9]+", "", kept)[:_LONGEST].rstrip("-")


def numbered(number: int) -> str:
    """The name of a site that has only a number: "site-7"."""
    return f"site-{number}"


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts "site-2" before "site-10"."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
