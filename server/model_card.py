"""`CARD.md` of a model that a federation released: what the aggregator knows of it, and what it cannot know."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.markdown import NONE, bullets, document, number, plain, section, table
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


def model_card(plan: Plan, weights: Weights, history: Sequence[RoundRecord], metrics: Mapping[str, Any]) -> str:
    """The card as Markdown; the same run on the same installation gives the same text.

    Args:
        plan: of the run.
        weights: of the model that is released.
        history: the run's committed rounds.
        metrics: `status`, and `validation` with the sites' sums, which are None where there were too few exams.
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
        _scores_section(metrics["validation"]),
        _missing_section(),
        limits_section(*_missing_work(history)),
        use_section(plan.sequences),
    )


def _data_section(plan: Plan, history: Sequence[RoundRecord]) -> str:
    """Training exams by site, as of the last round that the site took part in; exams stand for patients."""
    exams = dict.fromkeys(plan.sites, 0)
    rounds = dict.fromkeys(plan.sites, 0)
    for record in history:
        for site in record.sites:
            if site.outcome is Outcome.ACCEPTED:
                exams[site.site] = site.cases
                rounds[site.site] += 1
    hidden = suppress_small(exams)
    rows = [
        (plain(site), NONE if site in hidden.groups else str(exams[site]), str(rounds[site]))
        for site in plan.sites
    ]
    rows.append(("**all sites**", NONE if hidden.total else str(sum(exams.values())), str(len(history))))
    return section(
        "Data",
        table(("site", "training exams", "rounds with its work"), rows),
        f"As each site stated them when it last took part. {NONE} is fewer than {FEWEST_PATIENTS} exams, or a "
        "number from which such a one would follow. How many patients they are of, the aggregator is not told.",
    )


def _scores_section(validation: Mapping[str, Any]) -> str:
    """The sites' sums on their validation cases, pooled; no interval follows from sums."""
    cases, lesions = validation["cases"], validation["lesions"]
    if cases is None:
        return section(
            "Scores", f"None: the model was validated on fewer than {FEWEST_PATIENTS} exams, or on none."
        )
    rows = [
        ("Dice, mean over exams", number(validation["dice"])),
        ("lesion sensitivity", number(validation["lesions_found"] / lesions) if lesions else NONE),
        ("false positives per scan", number(validation["false_positives"] / cases, 2)),
    ]
    return section(
        "Scores",
        table((f"{cases} validation exams with {lesions} lesions", "all sites"), rows),
        f"Of the model that came into round {validation['of_the_model_that_came_into_round']}, an older one than "
        "the released. Validation exams are no test: settings may have been chosen on them. From sums no interval "
        "follows.",
    )


def _missing_section() -> str:
    return section(
        "What is missing",
        "A federation's aggregator does not have, and this card does not state:",
        bullets(
            [
                "scores on held-out test patients, with intervals;",
                "scores by sex, age, primary cancer, field strength and lesion burden;",
                "sensitivity by size of lesion;",
                "a comparison with training at one site or on pooled data;",
                "what the images are of, on which scanners they were made, and who drew the labels.",
            ]
        ),
    )


def _missing_work(history: Sequence[RoundRecord]) -> list[str]:
    unlike = sum(any(site.outcome is not Outcome.ACCEPTED for site in record.sites) for record in history)
    return [f"In {unlike} of {len(history)} rounds some site's work is missing."] if unlike else []
