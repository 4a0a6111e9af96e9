"""The sections about how good the models are: arms, hospitals, lesion sizes, the cross-site matrix, examples."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.metrics.intervals import Interval
from common.metrics.scores import VOLUME_BANDS, Share
from simulation.colours import PREDICTION, REFERENCE
from simulation.report.content import SliceExample
from simulation.report.figures import draw_bands, draw_intervals, draw_volumes
from simulation.report.markup import NONE, escape, number, percent, rate, signed, span, table, with_span
from simulation.report.pictures import slice_panels
from simulation.report.reading import (
    ARM_NAMES,
    LESIONWISE,
    MEASURES,
    arm_interval,
    arms_of,
    comparison,
    dice_at,
    sites_of,
)

_ROOMY = 10  # columns of the cross-site matrix that fit a page at full size
BAND_NAMES = {"under_27": "under 27 mm³", "27_to_275": "27 to 275 mm³", "over_275": "over 275 mm³"}
_COMPARISONS = (
    ("federated_over_pooled", "federated / pooled"),
    ("federated_minus_pooled", "federated − pooled"),
    ("federated_minus_local", "federated − local"),
)


def render_arms(result: Mapping[str, Any]) -> str:
    """Every arm's scores with intervals, as charts and as a table; paired comparisons below."""
    arms = arms_of(result)
    if not arms:
        return ""
    charts = "".join(
        draw_intervals(
            {arm: arm_interval(result, arm, name) for arm in arms},
            title,
            f"arm-{name}",
            None if name == "fp_per_scan" else 1.0,
        )
        for name, title in MEASURES.items()
    )
    rows = [
        [title, *(with_span(arm_interval(result, arm, name), _writer(name)) for arm in arms)]
        for name, title in {**MEASURES, **_known(result, LESIONWISE)}.items()
    ]
    head = ["on all test cases", *(escape(ARM_NAMES[arm]) for arm in arms)]
    return f'<div class="charts pairs">{charts}</div>' + table(head, rows) + _comparison_table(result)


def _comparison_table(result: Mapping[str, Any]) -> str:
    rows = []
    for key, label in _COMPARISONS:
        cells = [comparison(result, key, name) for name in MEASURES]
        if any(cell.estimate is not None for cell in cells):
            show = number if "over" in key else signed
            rows.append([label, *(f"{show(c.estimate)}<small>{span(c, show)}</small>" for c in cells)])
    if not rows:
        return ""
    return table(["paired over patients", *MEASURES.values()], rows)


def _known(result: Mapping[str, Any], measures: Mapping[str, str]) -> dict[str, str]:
    """Those that an arm has a value of; older results have none of some."""
    arms = arms_of(result)
    return {
        name: title
        for name, title in measures.items()
        if any(arm_interval(result, arm, name).estimate is not None for arm in arms)
    }


def _writer(measure: str) -> Callable[[float | None], str]:
    return rate if measure in ("fp_per_scan", "lesionwise_hd95") else number


def render_hospitals(result: Mapping[str, Any]) -> str:
    """Dice on each hospital's own test cases, by who trained the model."""
    cross = result.get("arms", {}).get("local", {}).get("cross_site", {})
    rows = []
    for site in sites_of(result):
        cases = result.get("cases", {}).get(site, {})
        federated, pooled = (dice_at(result, arm, site) for arm in ("federated", "pooled"))
        own = cross.get(site, {}).get(site)
        others = [row.get(site) for trained, row in cross.items() if trained != site and row.get(site) is not None]
        gain = federated - own if federated is not None and own is not None else None
        rows.append(
            [
                escape(site) + _lacking(result, site),
                " / ".join(str(cases.get(role, NONE)) for role in ("training", "validation", "test")),
                f"<b>{number(federated)}</b>",
                number(pooled),
                number(own),
                number(sum(others) / len(others) if others else None),
                f'<span class="{"up" if gain > 0 else "down"}">{signed(gain)}</span>'
                if gain is not None
                else NONE,
            ]
        )
    head = [
        "Dice on the test cases of",
        "cases: train / validate / test",
        "federated",
        "pooled",
        "own local",
        "others' local",
        "federated − own",
    ]
    return table(head, rows) if rows else ""


def _lacking(result: Mapping[str, Any], site: str) -> str:
    """Sequences that not all of a hospital's cases have."""
    total = sum(result.get("cases", {}).get(site, {}).values())
    have = result.get("sequences", {}).get(site, {})
    short = [f"{escape(name)} in {count} of {total}" for name, count in have.items() if count < total]
    return f"<small>{', '.join(short)}</small>" if short else ""


def render_bands(result: Mapping[str, Any]) -> str:
    """Sensitivity by lesion volume with the counts behind it."""
    arms = arms_of(result)
    counts = {band: max((_share(result, arm, band).lesions for arm in arms), default=0) for band in VOLUME_BANDS}
    if not any(counts.values()):
        return ""
    values = {arm: [_band_interval(result, arm, band) for band in VOLUME_BANDS] for arm in arms}
    labels = [f"{BAND_NAMES[band]}\n{counts[band]} lesions" for band in VOLUME_BANDS]
    chart = draw_bands(values, labels, "Share of lesions found, by volume", "bands")
    rows = [
        [
            BAND_NAMES[band],
            str(counts[band]),
            *(with_span(values[arm][place], percent) for arm in arms),
        ]
        for place, band in enumerate(VOLUME_BANDS)
    ]
    return f'<div class="charts">{chart}</div>' + table(["volume", "lesions", *(ARM_NAMES[a] for a in arms)], rows)


def _band_interval(result: Mapping[str, Any], arm: str, band: str) -> Interval:
    interval = arm_interval(result, arm, f"sensitivity_{band}")
    if interval.estimate is not None:
        return interval
    return Interval(_share(result, arm, band).value, None, None, 0)


def _share(result: Mapping[str, Any], arm: str, band: str) -> Share:
    found = result.get("arms", {}).get(arm, {}).get("sensitivity_by_volume", {}).get(band)
    return Share(**found) if found else Share(None, 0)


def render_cross_site(result: Mapping[str, Any]) -> str:
    """Dice of every local model at every site; below it, the federated and the pooled model at the same sites."""
    cross = result.get("arms", {}).get("local", {}).get("cross_site", {})
    if not cross:
        return ""
    tested = list(dict.fromkeys(site for row in cross.values() for site in row))
    values: dict[str, dict[str, float | None]] = {f"{site} alone": dict(row) for site, row in cross.items()}
    for arm in ("federated", "pooled"):
        if arm in result["arms"]:
            values[ARM_NAMES[arm].lower()] = {site: dice_at(result, arm, site) for site in tested}
    known = [value for row in values.values() for value in row.values() if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    rows = [[escape(name), *(_heat(row.get(site), low, high) for site in tested)] for name, row in values.items()]
    return table(
        ["trained ↓ tested →", *(escape(site) for site in tested)],
        rows,
        kind="heat dense" if len(tested) > _ROOMY else "heat",
    )


def _heat(value: float | None, low: float, high: float) -> str:
    """A cell from pale to dark blue; the ink turns white where the ground is dark."""
    if value is None:
        return f'<span class="cell">{NONE}</span>'
    depth = (value - low) / (high - low) if high > low else 0.5
    pale, dark = (237, 244, 251), (8, 69, 130)
    ground = ",".join(str(round(a + (b - a) * depth)) for a, b in zip(pale, dark, strict=True))
    ink = "#fff" if depth > 0.5 else "#111"
    return f'<span class="cell" style="background:rgb({ground});color:{ink}">{number(value, 2)}</span>'


def render_volumes(volumes_mm3: Mapping[str, Sequence[float]]) -> str:
    """Histograms of lesion volume by site."""
    chart = draw_volumes(volumes_mm3, "volumes")
    return f'<div class="charts">{chart}</div>' if chart else ""


def render_slices(examples: Sequence[SliceExample]) -> str:
    """Examples as rows of pictures."""
    return "".join(_slice(example) for example in examples)


def _slice(example: SliceExample) -> str:
    alt = f"{example.title} case {example.exam}"
    pictures = "".join(
        f'<figure><img src="{panel.uri}" alt="{escape(f"{alt}: {panel.caption}")}" width="300" height="300">'
        f"<figcaption>{escape(panel.caption)}</figcaption></figure>"
        for panel in slice_panels(example)
    )
    facts = [f"Dice {number(example.dice)}", f"{example.exam} at {example.site}", example.remark]
    told = f"<b>{escape(example.title)}</b> {escape(' · '.join(fact for fact in facts if fact))}"
    return f'<div class="example"><p>{told}</p><div class="pictures">{pictures}</div></div>'


def outline_key() -> str:
    """What the two outlines are, drawn as they are drawn."""
    return (
        f'<p class="key"><span style="border-bottom:3px solid {REFERENCE}">annotator</span> '
        f'<span style="border-bottom:3px dashed {PREDICTION}">model</span> '
        "on axial slices seen from the feet; the grey square is the close-up of 48&nbsp;mm.</p>"
    )
