"""The aggregator's card: counts as the sites stated them, small ones suppressed, and what is missing."""

from collections.abc import Mapping

import numpy as np

from common.metrics.intervals import Interval
from common.plan import EvaluationSpec
from common.weights import Weights
from server.model_card import model_card
from server.records import Outcome, Participation, RoundRecord
from tests.server.builders import make_plan

WEIGHTS = Weights((("w", (3,)),), np.zeros(3, np.float32))


def history(exams: Mapping[str, int | None], late: str = "") -> tuple[RoundRecord, ...]:
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
    card = model_card(plan, WEIGHTS, history(counts), {"status": "completed", "validation": None})
    shown = {site: rows_of(card, site)[0] for site in counts}
    assert shown == {site: "–" if count in (7, 4) else str(count) for site, count in counts.items()}
    assert rows_of(card, "**all sites**")[0] == str(sum(counts.values()))
    assert "None: the model was validated on fewer than 5 patients, or on none." in card


def test_a_number_that_a_site_kept_to_itself_is_not_shown_nor_the_total() -> None:
    plan = make_plan(weighting="equal")
    counts: dict[str, int | None] = dict(zip(plan.sites, (9, None, 8, 30), strict=True))
    card = model_card(plan, WEIGHTS, history(counts), {"status": "completed", "validation": None})
    assert [rows_of(card, site)[0] for site in (*counts, "**all sites**")] == ["9", "–", "8", "30", "–"]


def test_without_sensitivities_the_card_says_why() -> None:
    plan = make_plan().model_copy(update={"evaluation": EvaluationSpec(smallest_cell=2)})
    validation = {
        "of_the_model_that_came_into_round": 2,
        "suppressed_sites": 0,
        "patients": 7,
        "cases": 8,
        "dice": Interval(0.75, 0.7, 0.8, 7).to_dict(),
        "lesion_sensitivity": None,
        "fp_per_scan": Interval(1.125, 0.5, 1.75, 7).to_dict(),
        "sensitivity_by_volume": None,
    }
    metrics = {"status": "completed", "validation": validation}
    card = model_card(plan, WEIGHTS, history(dict.fromkeys(plan.sites, 6)), metrics)
    assert rows_of(card, "Dice, mean over patients") == ["0.750 (0.700 to 0.800)", "7"]
    assert "lesion sensitivity |" not in card
    assert "with `smallest_cell` = 2 the sites may have told of lesions of fewer than 5 patients" in card


def test_the_sums_are_pooled_and_missing_work_is_said() -> None:
    plan = make_plan()
    exams = dict.fromkeys(plan.sites, 6)
    whole = Interval(0.65, 0.432, 0.819, 20)
    validation = {
        "of_the_model_that_came_into_round": 2,
        "suppressed_sites": 1,
        "patients": 7,
        "cases": 8,
        "dice": Interval(0.75, 0.7, 0.8, 7).to_dict(),
        "lesion_sensitivity": whole.to_dict(),
        "fp_per_scan": Interval(1.125, 0.5, 1.75, 7).to_dict(),
        "sensitivity_by_volume": {
            "under_27": Interval(None, None, None, 0).to_dict(),
            "over_275": whole.to_dict(),
        },
    }
    metrics = {"status": "partial", "validation": validation}
    card = model_card(plan, WEIGHTS, history(exams, late=plan.sites[0]), metrics)
    assert rows_of(card, plan.sites[0]) == ["6", "1"]  # as stated in round 1
    assert rows_of(card, "Dice, mean over patients") == ["0.750 (0.700 to 0.800)", "7"]
    assert rows_of(card, "lesion sensitivity") == ["0.650 (0.432 to 0.819)", "20"]
    assert rows_of(card, "of lesions under 27 mm³") == ["–", "0"]
    assert rows_of(card, "false positives per scan, mean over patients") == ["1.12 (0.50 to 1.75)", "7"]
    assert "1 site(s) have too few validation patients to report on" in card
    assert "In 1 of 2 rounds some site's work is missing." in card
    assert "scores by sex, age, primary cancer, field strength and lesion burden;" in card
