"""`CARD.md` of a model that a federation released: what the aggregator knows of it, and what it cannot know."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.markdown import NONE, bullets, code, document, number, plain, section, table
from common.model_card import (
    NOTICE,
    Identity,
    intended_use_section,
    limits_section,
    model_section,
    settings_section,
    use_section,
)
from common.plan import Plan
from common.statistics.suppression import FEWEST_PATIENTS, suppress_small
from common.weights import Weights
from server.records import Outcome, RoundRecord

_BANDS = {"under_27": "under 27 mm³", "27_to_275": "27 to 275 mm³", "over_275": "over 275 mm³"}


def model_card(plan: Plan, weights: Weights, history: Sequence[RoundRecord], metrics: Mapping[str, Any]) -> str:
    """The card as Markdown; the same run on the same installation gives the same text.

    Args:
        plan: of the run.
        weights: of the model that is released.
        history: the run's committed rounds.
        metrics: `status`, and `validation` with the sites' pooled figures, None where patients were too few.
    """
    identity = Identity(weights.sha256(), int(weights.vector.size), len(history), str(metrics["status"]))
    return document(
        f"# Model card: {plain(plan.name)}",
        f"> {NOTICE} Written by the federation's aggregator, which has seen no image and no patient: it repeats "
        "what the sites stated and cannot check it.",
        model_section(plan, identity),
        intended_use_section(),
        _data_section(plan, history),
        settings_section(plan),
        _scores_section(metrics["validation"], plan),
        _missing_section(),
        limits_section(*_missing_work(history)),
        use_section(plan.sequences),
    )


def fewest_shown(plan: Plan) -> int:
    """Fewest patients behind a figure of a released model: the plan's `smallest_cell`, and never below 5."""
    return max(FEWEST_PATIENTS, plan.evaluation.smallest_cell)


def _data_section(plan: Plan, history: Sequence[RoundRecord]) -> str:
    """Training exams by site, as of the last round that the site took part in; exams stand for patients."""
    exams: dict[str, int | None] = dict.fromkeys(plan.sites, 0)
    rounds = dict.fromkeys(plan.sites, 0)
    for record in history:
        for site in record.sites:
            if site.outcome is Outcome.ACCEPTED:
                exams[site.site] = site.cases
                rounds[site.site] += 1
    fewest = fewest_shown(plan)
    told = {site: count for site, count in exams.items() if count is not None}
    hidden = suppress_small(told, fewest)
    shown = {site: str(count) for site, count in told.items() if site not in hidden.groups}
    rows = [(plain(site), shown.get(site, NONE), str(rounds[site])) for site in plan.sites]
    total = NONE if hidden.total or len(told) < len(exams) else str(sum(told.values()))
    rows.append(("**all sites**", total, str(len(history))))
    return section(
        "Data",
        table(("site", "training exams", "rounds with its work"), rows),
        f"As each site stated them when it last took part. {NONE} is fewer than {fewest} exams, a number "
        "from which such a one would follow, or one that a site of few patients did not state. "
        "How many patients they are of, the aggregator is not told.",
    )


def _scores_section(validation: Mapping[str, Any] | None, plan: Plan) -> str:
    """The sites' sums on their validation patients, pooled, with intervals."""
    fewest = fewest_shown(plan)
    if validation is None:
        return section("Scores", f"None: the model was validated on fewer than {fewest} patients, or on none.")
    lesions = _lesion_rows(validation)
    rows = [
        ("Dice, mean over patients", validation["dice"], 3),
        *lesions,
        ("false positives per scan, mean over patients", validation["fp_per_scan"], 2),
    ]
    hidden = validation["suppressed_sites"]
    return section(
        "Scores",
        table(
            (
                f"{validation['cases']} validation exams of {validation['patients']} patients",
                "value (95 % interval)",
                "n",
            ),
            [(name, _with_ends(one, digits), str(one["units"])) for name, one, digits in rows],
        ),
        ""
        if lesions
        else f"No sensitivity is shown: with {code('smallest_cell')} = {plan.evaluation.smallest_cell} the sites "
        f"may have told of lesions of fewer than {fewest} patients.",
        f"Of the model that came into round {validation['of_the_model_that_came_into_round']}, an older one than "
        "the released. Validation exams are no test: settings may have been chosen on them. Means have Student's "
        "t interval over patients, sensitivities Wilson's over lesions, as if a patient's lesions were "
        f"independent; n counts them. {hidden} site(s) have too few validation patients to report on; a site "
        "with too few of a size leaves that size out.",
    )


def _lesion_rows(validation: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], int]]:
    """Sensitivity, whole and by class of volume; nothing where the release does not hold it."""
    if validation["lesion_sensitivity"] is None:
        return []
    by_volume = validation["sensitivity_by_volume"]
    return [
        ("lesion sensitivity", validation["lesion_sensitivity"], 3),
        *((f"of lesions {_BANDS[band]}", one, 3) for band, one in by_volume.items()),
    ]


def _with_ends(one: Mapping[str, Any], digits: int) -> str:
    if one["low"] is None:
        return number(one["estimate"], digits)
    return f"{number(one['estimate'], digits)} ({number(one['low'], digits)} to {number(one['high'], digits)})"


def _missing_section() -> str:
    return section(
        "What is missing",
        "A federation's aggregator does not have, and this card does not state:",
        bullets(
            [
                "scores on held-out test patients, with intervals;",
                "scores by sex, age, primary cancer, field strength and lesion burden;",
                "a comparison with training at one site or on pooled data;",
                "what the images are of, on which scanners they were made, and who drew the labels.",
            ]
        ),
    )


def _missing_work(history: Sequence[RoundRecord]) -> list[str]:
    unlike = sum(any(site.outcome is not Outcome.ACCEPTED for site in record.sites) for record in history)
    return [f"In {unlike} of {len(history)} rounds some site's work is missing."] if unlike else []
