"""The aggregator's card: counts as the sites stated them, small ones suppressed, and what is missing."""

import numpy as np

from common.weights import Weights
from server.model_card import model_card
from server.records import Outcome, Participation, RoundRecord
from tests.server.builders import make_plan

WEIGHTS = Weights((("w", (3,)),), np.zeros(3, np.float32))
NO_SUMS = dict.fromkeys(
    ("of_the_model_that_came_into_round", "cases", "dice", "lesions", "lesions_found", "false_positives")
)


def history(exams: dict[str, int], late: str = "") -> tuple[RoundRecord, ...]:
    """Two rounds; `late` is late in the second."""

    def site(name: str, number: int) -> Participation:
        outcome = Outcome.LATE if (name, number) == (late, 2) else Outcome.ACCEPTED
        return Participation(site=name, outcome=outcome, cases=exams[name] if outcome is Outcome.ACCEPTED else 0)

    return tuple(
        RoundRecord(
            round=number,
            plan_id="p",
            seed=1,
            advanced=True,
            model_sha256="m",
            sites=tuple(site(name, number) for name in exams),
        )
        for number in (1, 2)
    )


def rows_of(card: str, site: str) -> list[str]:
    (line,) = (line for line in card.splitlines() if line.startswith(f"| {site} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_small_sites_are_suppressed_and_the_next_smallest_with_them() -> None:
    plan = make_plan()
    counts = dict(zip(plan.sites, (9, 7, 4, 30), strict=True))
    card = model_card(plan, WEIGHTS, history(counts), {"status": "completed", "validation": NO_SUMS})
    shown = {site: rows_of(card, site)[0] for site in counts}
    assert shown == {site: "–" if count in (7, 4) else str(count) for site, count in counts.items()}
    assert rows_of(card, "**all sites**")[0] == str(sum(counts.values()))
    assert "None: the model was validated on fewer than 5 exams, or on none." in card


def test_the_sums_are_pooled_and_missing_work_is_said() -> None:
    plan = make_plan()
    exams = dict.fromkeys(plan.sites, 6)
    validation = {
        "of_the_model_that_came_into_round": 2,
        "cases": 8,
        "dice": 0.75,
        "lesions": 20,
        "lesions_found": 13,
        "false_positives": 9,
    }
    metrics = {"status": "partial", "validation": validation}
    card = model_card(plan, WEIGHTS, history(exams, late=plan.sites[0]), metrics)
    assert rows_of(card, plan.sites[0]) == ["6", "1"]  # as stated in round 1
    assert rows_of(card, "Dice, mean over exams") == ["0.750"]
    assert rows_of(card, "lesion sensitivity") == ["0.650"]
    assert "In 1 of 2 rounds some site's work is missing." in card
    assert "scores by sex, age, primary cancer, field strength and lesion burden;" in card
