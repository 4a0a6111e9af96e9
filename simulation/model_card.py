"""`model/CARD.md`: what a run's federated model is, what it was made of, how far its scores can be believed."""

from collections.abc import Mapping
from typing import Any

from common.markdown import NONE, code, document, plain, section, table
from common.metrics.detection import MATCHING_RULE
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
from common.statistics.suppression import FEWEST_PATIENTS
from simulation.model_card_scores import groups_section, scores_section, sizes_section, thresholds_section
from simulation.publishing import PatientCounts, public_arms, public_counts, public_groups
from simulation.result import Judged


def model_card(judged: Judged, result: Mapping[str, Any], cohort: str, *, phantoms: bool) -> str:
    """The card of the federated model, as Markdown; the same run on the same installation gives the same text.

    Args:
        judged: with a federated model.
        result: of the same run; every score of the card stands in it.
        cohort: what the images are, in a few words.
        phantoms: whether no patient is behind it.

    Raises:
        KeyError: there is no federated model.
    """
    plan, weights = judged.prepared.plan, judged.models["federated"]
    identity = Identity(weights.sha256(), int(weights.vector.size), len(judged.history), str(judged.status))
    arms = public_arms(result, judged.scores["federated"])
    return document(
        f"# Model card: {plain(plan.name)}",
        _banner(phantoms=phantoms),
        model_section(plan, identity),
        intended_use_section(),
        _data_section(public_counts(judged), cohort),
        settings_section(plan),
        _judging_section(plan),
        scores_section(arms, result["comparisons"]),
        sizes_section(arms),
        thresholds_section(arms),
        groups_section(public_groups(result)) if arms else "",
        limits_section(*_own_limits(judged, result, cohort, phantoms=phantoms)),
        use_section(plan.sequences),
    )


def _banner(*, phantoms: bool) -> str:
    if not phantoms:
        return f"> {NOTICE}"
    return (
        "> **Phantoms, not patients.** This model was trained and judged on generated images. Its scores tell "
        f"nothing about patients, and it must not be used on them.\n>\n> {NOTICE}"
    )


def _data_section(counts: Mapping[str, PatientCounts], cohort: str) -> str:
    sites = list(next(iter(counts.values())).by_site)
    rows = [[plain(site), *(_count(one.by_site[site]) for one in counts.values())] for site in sites]
    rows.append(["**all sites**", *(_total(one) for one in counts.values())])
    return section(
        "Data",
        f"What the images are: {plain(cohort)}. All exams of a patient lie at one site and have one role there; "
        "only usable cases count.",
        table(("patients", *counts), rows),
        f"{NONE} is fewer than {FEWEST_PATIENTS} patients, or a number from which such a one would follow. For "
        "that reason there are no totals by site either.",
    )


def _count(patients: int | None) -> str:
    return NONE if patients is None else str(patients)


def _total(counts: PatientCounts) -> str:
    return NONE if counts.patients is None else f"{counts.patients} ({counts.exams} exams)"


def _judging_section(plan: Plan) -> str:
    tumour = " or ".join(code(plan.labels[index - 1]) for index in sorted(plan.tumour_classes))
    rule, words = MATCHING_RULE.split(":", maxsplit=1)
    return section(
        "How it was judged",
        "On patients of the same sites who were held out of training, on each exam's own grid; what is "
        f"{tumour} counts as tumour. Dice is the mean over exams; sensitivity and precision are shares of the "
        f"lesions of all exams together. The rule for lesions is {code(rule)}:{words}. Lesion-wise Dice and HD95 "
        "are means over exams by the rule of BraTS-METS 2023/24, by which a missed and an invented lesion have a "
        "Dice of 0 and 374 mm. In brackets are 95 % "
        "intervals from a bootstrap over patients: they tell how the choice of test patients matters, not how "
        "another training run would have ended.",
    )


def _own_limits(judged: Judged, result: Mapping[str, Any], cohort: str, *, phantoms: bool) -> list[str]:
    """What this very run lacks."""
    limits = []
    if phantoms:
        limits.append(
            f"Phantoms are not patients ({plain(cohort)}): they were made by the program that trained the model, "
            "they hold no other disease, and the same program drew lesions and labels."
        )
    unlike = sum(any(site["outcome"] != "accepted" for site in one["sites"]) for one in result["rounds"])
    if unlike:
        limits.append(f"In {unlike} of {len(result['rounds'])} rounds some site's work is missing.")
    missing = [arm for arm in ("pooled", "local") if arm not in result["arms"]]
    if missing:
        limits.append(f"Not trained beside it, so that nothing is known of the difference: {', '.join(missing)}.")
    limits.append(
        f"One training run with one seed ({judged.prepared.plan.seed}). Another seed gives another model with "
        "other scores; the intervals do not cover that."
    )
    return limits
