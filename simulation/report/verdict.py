"""The first lines of a report: what came out, in words that the intervals support and no more."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.metrics.intervals import Interval
from common.metrics.scores import LARGE_MM3, SMALL_MM3, CaseScores, Share, summarise
from simulation.report.markup import (
    bullets,
    counted,
    escape,
    number,
    percent,
    percent_points,
    rate,
    ratio,
    signed,
    signed_rate,
    span,
)
from simulation.report.reading import arm_interval, comparison, dice_at

_STATUS_WORDS = {
    "completed": "every round has every site's work in it",
    "partial": "some site's work or some round is missing; see who took part",
    "failed": "no round met its quorum, so there is no federated model",
}
_STATUS_WORDS_WITHOUT_ROUNDS = {
    "completed": "no federation was asked for; every model that was, is trained",
    "partial": "no federation was asked for; a model that was, is missing",
    "failed": "no federation was asked for, and no model was trained",
}
FEWEST_PATIENTS = 5
"""Below this many test patients, no arm is said to be above another."""


def render_verdict(result: Mapping[str, Any]) -> str:
    """Status, headline and the three or four numbers that matter."""
    status = str(result.get("status", "unknown"))
    words = _STATUS_WORDS if result.get("rounds") else _STATUS_WORDS_WITHOUT_ROUNDS
    badge = f'<p class="status {escape(status)}"><b>{escape(status)}</b> {words.get(status, "")}</p>'
    return badge + f'<p class="headline">{headline(result)}</p>' + _tiles(result)


def headline(result: Mapping[str, Any]) -> str:
    """One or two sentences; every claim of better or worse is one that its interval supports."""
    federated = arm_interval(result, "federated", "dice").estimate
    share = comparison(result, "federated_over_pooled", "dice")
    gain = comparison(result, "federated_minus_local", "dice")
    if federated is None:
        arms = result.get("arms", {})
        named = ", ".join(f"{arm} {number(scores.get('dice'))}" for arm, scores in arms.items())
        return f"No federated model to judge.{f' Dice on test cases: {escape(named)}.' if named else ''}"
    found = arm_interval(result, "federated", "lesion_sensitivity")
    false = arm_interval(result, "federated", "fp_per_scan")
    sentences = [
        f"The federated model finds {percent(found.estimate)} of the lesions with {rate(false.estimate)} "
        f"false marks per scan, at a Dice of {number(federated)}."
    ]
    if max(share.units, gain.units) < FEWEST_PATIENTS and (share.estimate, gain.estimate) != (None, None):
        return f"{sentences[0]} With so few test patients the arms cannot be compared."
    if share.estimate is not None:
        sentences.append(
            f"That is {ratio(share.estimate)} of the Dice of a model trained on all data in one place."
        )
    if gain.estimate is not None:
        sentences.append(
            f"Its Dice over all hospitals' patients is {_against(gain)} that of a hospital's model trained alone."
        )
    return " ".join(sentences)


def _against(gain: Interval) -> str:
    if gain.low is None or gain.high is None:
        return "above" if (gain.estimate or 0.0) > 0 else "not above"
    if gain.low > 0:
        return "above"
    return "below" if gain.high < 0 else "not clearly different from"


def _tiles(result: Mapping[str, Any]) -> str:
    dice = arm_interval(result, "federated", "dice")
    share = comparison(result, "federated_over_pooled", "dice")
    gain = comparison(result, "federated_minus_local", "dice")
    found = arm_interval(result, "federated", "lesion_sensitivity")
    false = arm_interval(result, "federated", "fp_per_scan")
    tiles = [
        _tile(percent(found.estimate), "of lesions found", found, span(found, percent)),
        _tile(rate(false.estimate), "false marks per scan", false, span(false, rate)),
        _tile(number(dice.estimate), "Dice, federated", dice, span(dice)),
        _tile(ratio(share.estimate), "of pooled training's Dice", share, span(share, ratio)),
        _tile(signed(gain.estimate), "Dice over local models, all hospitals' patients", gain, span(gain, signed)),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(value: str, label: str, interval: Interval, ends: str) -> str:
    if interval.estimate is None:
        return ""
    told = f"<small>95&nbsp;% interval {ends}</small>" if interval.low is not None else ""
    return f'<div class="tile"><b>{value}</b><span>{escape(label)}</span>{told}</div>'


def render_meaning(result: Mapping[str, Any], scores: Sequence[CaseScores]) -> str:
    """What the numbers mean, in plain words with counts; `scores` are the federated model's."""
    items = [*_lesions(scores), *_pooling(result), *_sharing(result), *_caution(scores)]
    return bullets(items)


def _lesions(scores: Sequence[CaseScores]) -> list[str]:
    if not scores:
        return []
    summary = summarise(scores)
    found = sum(lesion.detected for score in scores for lesion in score.lesions)
    bands = summary.sensitivity_by_volume
    small, large = bands["under_27"], bands["over_275"]
    items = [
        f"In {counted(summary.cases, 'test exam')} of {counted(_patients(scores), 'patient')} it finds "
        f"<b>{found} of {summary.lesions} lesions</b>: {_share(small)} below {SMALL_MM3:.0f}&nbsp;mm³ "
        f"(a ball of 3.7&nbsp;mm) and {_share(large)} above {LARGE_MM3:.0f}&nbsp;mm³ (8.1&nbsp;mm)."
    ]
    if summary.lesion_precision is not None:
        items.append(
            f"Of what it marks, {percent(summary.lesion_precision)} touches a lesion; the rest is "
            f"<b>{rate(summary.fp_per_scan)} false marks per scan</b> for a reader to dismiss."
        )
    return items


def _share(share: Share) -> str:
    """`50 % of the 12`, or that there was none to find."""
    return f"{percent(share.value)} of the {share.lesions}" if share.lesions else "there was none"


def _pooling(result: Mapping[str, Any]) -> list[str]:
    share = comparison(result, "federated_over_pooled", "dice")
    if share.estimate is None or share.low is None or share.high is None:
        return []
    ends = span(share, ratio)
    if share.low > 1:
        reading = "with these test patients, keeping the data apart cost nothing in Dice"
    elif share.high < 1:
        reading = "keeping the data apart cost some Dice, more than the choice of test patients explains"
    else:
        reading = "these test patients do not tell the two apart in Dice"
    return [
        f"Against pooled training the ratio of Dice is {ratio(share.estimate)} ({ends}): {reading}.",
        *_more_or_fewer(result),
    ]


def _more_or_fewer(result: Mapping[str, Any]) -> list[str]:
    """What Dice does not tell: differences from pooled training in lesions, where the interval excludes none."""
    told = []
    for statistic, words, write in (
        ("lesion_sensitivity", "The share of lesions found", percent_points),
        ("lesion_precision", "The share of its marks that touch a lesion", percent_points),
        ("fp_per_scan", "The number of false marks per scan", signed_rate),
    ):
        gap = comparison(result, "federated_minus_pooled", statistic)
        if gap.estimate is None or gap.low is None or gap.high is None or gap.low <= 0 <= gap.high:
            continue
        side = "higher" if gap.low > 0 else "lower"
        told.append(
            f"{words} is <b>{side}</b> than pooled training's: {write(gap.estimate)} ({span(gap, write)})."
        )
    return told


def _sharing(result: Mapping[str, Any]) -> list[str]:
    """How many hospitals would be better off with the federated model than with their own."""
    cross = result.get("arms", {}).get("local", {}).get("cross_site", {})
    dice = [(dice_at(result, "federated", site), row.get(site)) for site, row in cross.items()]
    pairs = [(shared, alone) for shared, alone in dice if shared is not None and alone is not None]
    if not pairs:
        return []
    better = sum(shared > alone for shared, alone in pairs)
    return [
        f"On their own test patients, <b>{better} of {len(pairs)} hospitals</b> get a higher Dice from the "
        "federated model than from the model that they trained alone."
    ]


def _caution(scores: Sequence[CaseScores]) -> list[str]:
    patients = _patients(scores)
    if not patients:
        return []
    few = f"Only {counted(patients, 'patient')} took the test. " if patients < 30 else ""
    return [
        f"{few}Intervals tell how much the numbers would move with other test patients of the same kind; they do "
        "not tell how much they would move with another random seed of training."
    ]


def _patients(scores: Sequence[CaseScores]) -> int:
    return len({(score.site, score.patient) for score in scores})
