"""The sections about how the run went: curves, who took part, what was put aside, where the time went."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulation.report.figures import draw_curves
from simulation.report.markup import escape, table
from simulation.report.reading import curves_of, sites_of

OUTCOMES = {
    "accepted": ("A", "accepted"),
    "late": ("L", "late"),
    "refused": ("R", "the site declined"),
    "failed": ("F", "the site's work was lost"),
    "invalid": ("I", "the aggregator declined the update"),
    "offline": ("O", "offline"),
}
_MOST_COLUMNS = 50
_PART_NAMES = {"prepare": "prepare: phantoms and preprocessing"}


def render_curves(result: Mapping[str, Any]) -> str:
    """Training loss and validation Dice."""
    points = curves_of(result)
    charts = draw_curves(points, "loss", "Training loss", "loss") + draw_curves(
        points, "dice", "Validation Dice before the round", "dice"
    )
    return f'<div class="charts">{charts}</div>' if charts else ""


def render_participation(result: Mapping[str, Any]) -> str:
    """One row a site, one cell a round (or a block of rounds, showing the worst outcome in it)."""
    rounds = result.get("rounds", [])
    if not rounds:
        return ""
    size = -(-len(rounds) // _MOST_COLUMNS)
    blocks = [rounds[start : start + size] for start in range(0, len(rounds), size)]
    rows = []
    for site in dict.fromkeys(row["site"] for one in rounds for row in one["sites"]):
        own = [row for one in rounds for row in one["sites"] if row["site"] == site]
        accepted = sum(row["outcome"] == "accepted" for row in own)
        rows.append(
            [
                escape(site),
                *(_outcome_cell(site, block) for block in blocks),
                f"{accepted}/{len(own)}",
                f"{sum(row.get('steps') or 0 for row in own)}",
                f"{sum(row.get('seconds') or 0.0 for row in own):.0f}",
                f"{sum(row.get('bytes_up') or 0 for row in own) / 1e6:.1f}",
            ]
        )
    rows.append(["model moved", *(_moved_cell(block) for block in blocks), "", "", "", ""])
    every = max(1, -(-len(blocks) // 10))
    numbers = [str(block[0]["round"]) if place % every == 0 else "" for place, block in enumerate(blocks)]
    told = f"<p>One cell is {size} rounds and shows the worst outcome in them.</p>" if size > 1 else ""
    head = ["round", *numbers, "accepted", "steps", "seconds", "MB up"]
    return told + table(head, rows, kind="grid") + _outcome_key(rounds)


def _outcome_cell(site: str, block: Sequence[Mapping[str, Any]]) -> str:
    rows = [(one["round"], row) for one in block for row in one["sites"] if row["site"] == site]
    if not rows:
        return '<span class="o"></span>'
    order = list(OUTCOMES)
    round_id, row = max(
        rows, key=lambda pair: order.index(pair[1]["outcome"]) if pair[1]["outcome"] in order else 99
    )
    outcome = str(row["outcome"])
    letter = OUTCOMES[outcome][0] if outcome in OUTCOMES else outcome[:1].upper()
    code = f" ({row['code']})" if row.get("code") else ""
    told = escape(f"round {round_id}: {outcome}{code}")
    return f'<span class="o {escape(outcome)}" title="{told}">{escape(letter)}</span>'


def _moved_cell(block: Sequence[Mapping[str, Any]]) -> str:
    moved = all(one.get("advanced", True) for one in block)
    title = "the model moved" if moved else "below quorum: the model stayed as it was"
    return f'<span class="o" title="{title}">{"✓" if moved else "–"}</span>'


def _outcome_key(rounds: Sequence[Mapping[str, Any]]) -> str:
    seen = {str(row["outcome"]) for one in rounds for row in one["sites"]}
    parts = [
        f'<span class="o {name}">{letter}</span> {meaning}'
        for name, (letter, meaning) in OUTCOMES.items()
        if name in seen
    ]
    codes = sorted(
        {f"{row['outcome']}: {row['code']}" for one in rounds for row in one["sites"] if row.get("code")}
    )
    reasons = f"<br>Reasons: {escape(', '.join(codes))}." if codes else ""
    return f'<p class="key">{" ".join(parts)}{reasons}</p>'


def render_quarantine(result: Mapping[str, Any]) -> str:
    """Cases put aside, by site and reason."""
    quarantine = result.get("quarantine", {})
    reasons = sorted({reason for counts in quarantine.values() for reason in counts})
    left_out = result.get("left_out") or 0
    told = f"<p>{left_out} cases belong to no site and were left out.</p>" if left_out else ""
    if not reasons:
        return f"<p>No case had to be put aside.</p>{told}" if sites_of(result) else ""
    rows = [
        [escape(site), *(str(counts.get(reason, "")) for reason in reasons), str(sum(counts.values()))]
        for site, counts in quarantine.items()
    ]
    return table(["cases put aside", *(escape(reason) for reason in reasons), "all"], rows) + told


def render_seconds(result: Mapping[str, Any]) -> str:
    """Where the time went."""
    seconds = result.get("seconds", {})
    total = seconds.get("total") or 0.0
    if not total:
        return ""
    rows = [
        [_PART_NAMES.get(part, escape(part)), f"{spent:.1f}", f"{spent / total:.0%}".replace("%", "&nbsp;%")]
        for part, spent in seconds.items()
    ]
    caption = "Until this page was written; result.json has the end. Training counts all arms."
    return table(["seconds", "", "share"], rows, caption, kind="narrow")
