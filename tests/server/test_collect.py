import weakref
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from common.errors import FailureCode, RefusalCode, UpdateCode
from common.metrics.scores import VOLUME_BANDS
from common.protocol import LesionCounts, SiteFailed, SiteRefused, SiteReply, SiteUpdate
from common.weights import Weights
from server.aggregation.mean import WeightedMean
from server.collect import Collected, collect
from server.records import Outcome
from tests.server.builders import SITES, SUMS, make_plan, make_report, make_task, make_update, with_values

PLAN = make_plan()
TASK = make_task(PLAN)
GOOD = make_update("north", TASK)


def collect_all(*replies: SiteReply, asked: tuple[str, ...] = SITES) -> Collected:
    return collect(replies, TASK, asked, PLAN, WeightedMean(3), clock=lambda: 0.0)


def outcomes(collected: Collected) -> dict[str, str]:
    return {site.site: site.code or site.outcome for site in collected.participation}


def reported(**changes: object) -> SiteUpdate:
    return replace(GOOD, report=replace(GOOD.report, **changes))  # type: ignore[arg-type]


def test_every_site_of_the_plan_has_one_outcome() -> None:
    collected = collect_all(
        make_update("south", TASK),
        SiteRefused("north", 1, RefusalCode.NO_TRAINING_CASES),
        asked=("north", "south", "east"),
    )
    assert outcomes(collected) == {
        "north": "no-training-cases",
        "south": "accepted",
        "east": "late",
        "west": "offline",
    }
    accepted = collected.participation[1]
    assert (accepted.cases, accepted.steps, accepted.bytes_up) == (10, 5, 12)
    assert accepted.incoming == SUMS


@pytest.mark.parametrize(
    "changes",
    [
        {"cases": 1.5},
        {"cases": True},
        {"cases": None},  # the plan weighs by them
        {"steps": 2.0},
        {"loss": "low"},
        {"quarantined": {"not-3d": 0.5}},
        {"incoming": replace(SUMS, lesions=LesionCounts(3, 5), by_volume={})},
        {"incoming": replace(SUMS, lesions=LesionCounts(10, 5))},  # fewer than of one volume
        {"incoming": replace(SUMS, by_volume={"Mr Smith": LesionCounts(1, 1)})},
        {"incoming": replace(SUMS, false_positives=-1.0)},
        {"incoming": replace(SUMS, patients=4)},  # fewer than the plan's smallest cell
        {"incoming": replace(SUMS, cases=5)},  # fewer than patients
        {"incoming": replace(SUMS, dice_squared=3.0)},  # below 4.5^2 / 6
        {"incoming": replace(SUMS, false_positives_squared=1.4)},
        {"incoming": replace(SUMS, false_positives_squared=9.1)},  # above 3^2, if one patient had them all
        {"incoming": replace(SUMS, false_positives_squared=1.7e308)},  # an interval from here to infinity
        {"incoming": replace(SUMS, lesions=None)},  # yet eleven of one class
        {"incoming": replace(SUMS, lesions=LesionCounts(12, 6))},  # one in the other classes, two of it found
        {"incoming": replace(SUMS, by_volume=dict.fromkeys(VOLUME_BANDS, LesionCounts(6, 4)))},  # 18 of 20
    ],
)
def test_counts_of_the_wrong_kind_cost_their_site_only(changes: dict[str, object]) -> None:
    collected = collect_all(reported(**changes), make_update("south", TASK))
    assert outcomes(collected)["north"] == "bad-counts"
    assert collected.mean.updates == 1


def test_a_site_may_keep_its_number_of_cases_where_it_weighs_nothing() -> None:
    plan = make_plan(weighting="equal")
    task = make_task(plan)
    update = make_update("north", task, report=replace(make_report(), cases=None))
    collected = collect([update], task, SITES, plan, WeightedMean(3), clock=lambda: 0.0)
    assert (collected.participation[0].outcome, collected.participation[0].cases) == (Outcome.ACCEPTED, None)
    assert np.array_equal(collected.mean.mean(), update.delta.vector)


def test_failed_work_is_on_record_with_its_code() -> None:
    (north, *_) = collect_all(SiteFailed("north", 1, FailureCode.OUT_OF_MEMORY)).participation
    assert (north.outcome, north.code) == (Outcome.FAILED, FailureCode.OUT_OF_MEMORY)


@pytest.mark.parametrize(
    ("update", "code"),
    [
        (with_values(GOOD, np.nan), UpdateCode.NOT_FINITE),
        (with_values(GOOD, -np.inf), UpdateCode.NOT_FINITE),
        (with_values(GOOD, 41.0), UpdateCode.ABSURD_NORM),
        (with_values(GOOD, 3e38), UpdateCode.ABSURD_NORM),
        (replace(GOOD, delta=Weights((("v", (3,)),), GOOD.delta.vector)), UpdateCode.WRONG_LAYOUT),
        (replace(GOOD, delta=Weights((("w", (3, 1)),), GOOD.delta.vector)), UpdateCode.WRONG_LAYOUT),
        (replace(GOOD, round_id=2), UpdateCode.WRONG_ROUND),
        (replace(GOOD, plan_id="0" * 64), UpdateCode.OTHER_PLAN),
        (reported(cases=0), UpdateCode.BAD_COUNTS),
        (reported(cases=10**7), UpdateCode.BAD_COUNTS),
        (reported(steps=6), UpdateCode.BAD_COUNTS),
        (reported(loss=float("nan")), UpdateCode.BAD_COUNTS),
        (reported(seconds=-1.0), UpdateCode.BAD_COUNTS),
        (reported(quarantined={"Mr Smith": 1}), UpdateCode.BAD_COUNTS),
        (reported(quarantined={"not-3d": -1}), UpdateCode.BAD_COUNTS),
        (reported(incoming=replace(SUMS, dice=6.1, dice_squared=6.2)), UpdateCode.BAD_COUNTS),
        (reported(incoming=replace(SUMS, dice=float("nan"))), UpdateCode.BAD_COUNTS),
    ],
)
def test_a_bad_update_is_refused_by_name_and_the_rest_count(update: SiteUpdate, code: UpdateCode) -> None:
    other = make_update("south", TASK)
    collected = collect_all(update, other)
    north = collected.participation[0]
    assert (north.outcome, north.code, north.cases) == (Outcome.INVALID, code, 0)
    assert [(rejection.site, rejection.code) for rejection in collected.rejections] == [("north", code)]
    assert collected.mean.updates == 1
    assert np.abs(collected.mean.mean() - other.delta.vector).max() < 1e-9


def test_the_largest_credible_norm_is_the_ratio_times_one_plus_the_models() -> None:
    # the model's norm is 3 and the ratio 10, so that 40 is the limit
    exact = replace(GOOD, delta=TASK.weights.with_vector(np.array([39.99, 0, 0], np.float32)))
    assert collect_all(exact).participation[0].outcome is Outcome.ACCEPTED


def test_values_out_of_the_fixed_points_range_are_an_absurd_norm() -> None:
    plan = make_plan(max_update_ratio=1e9)
    update = replace(with_values(GOOD, 6e5), plan_id=plan.fingerprint())
    collected = collect([update], make_task(plan), SITES, plan, WeightedMean(3), clock=lambda: 0.0)
    assert collected.participation[0].code is UpdateCode.ABSURD_NORM


def test_a_sites_first_reply_counts_and_the_second_is_noted() -> None:
    collected = collect_all(GOOD, with_values(GOOD, 1.0))
    assert collected.participation[0].outcome is Outcome.ACCEPTED
    assert [rejection.code for rejection in collected.rejections] == [UpdateCode.DUPLICATE]
    assert collected.mean.updates == 1


def test_a_leftover_of_an_earlier_round_does_not_stand_in_the_way() -> None:
    collected = collect_all(replace(GOOD, round_id=0), GOOD)
    assert collected.participation[0].outcome is Outcome.ACCEPTED
    assert [rejection.code for rejection in collected.rejections] == [UpdateCode.WRONG_ROUND]


def test_strangers_are_noted_and_not_used() -> None:
    collected = collect_all(make_update("mallory", TASK), make_update("west", TASK), asked=("north",))
    assert [rejection.code for rejection in collected.rejections] == [UpdateCode.WRONG_SITE] * 2
    assert outcomes(collected) == {"north": "late", "south": "offline", "east": "offline", "west": "offline"}
    assert collected.mean.updates == 0


def test_work_that_took_longer_than_the_deadline_is_late_and_unused() -> None:
    plan = make_plan(deadline_s=2.0)
    task = make_task(plan)
    slow, quick = (
        make_update(site, task, report=make_report(seconds=s)) for site, s in (("north", 2.1), ("south", 2.0))
    )
    collected = collect([slow, quick], task, SITES, plan, WeightedMean(3), clock=lambda: 0.0)
    assert [site.outcome for site in collected.participation[:2]] == [Outcome.LATE, Outcome.ACCEPTED]
    assert collected.mean.updates == 1


@pytest.mark.parametrize(("weighting", "expected"), [("cases", 0.75), ("steps", 0.4), ("equal", 0.5)])
def test_updates_are_weighted_as_the_plan_says(weighting: str, expected: float) -> None:
    plan = make_plan(weighting=weighting)
    task = make_task(plan)
    ones = task.weights.with_vector(np.ones(3, np.float32))
    zeros = task.weights.with_vector(np.zeros(3, np.float32))
    replies = [
        replace(make_update("north", task, report=make_report(cases=30, steps=2)), delta=ones),
        replace(make_update("south", task, report=make_report(cases=10, steps=3)), delta=zeros),
    ]
    mean = collect(replies, task, SITES, plan, WeightedMean(3), clock=lambda: 0.0).mean.mean()
    assert mean.tolist() == pytest.approx([expected] * 3, abs=1e-7)


def test_an_update_is_let_go_before_the_next_is_asked_for() -> None:
    alive: list[weakref.ref[np.ndarray[tuple[int], np.dtype[np.float32]]]] = []

    def replies() -> Iterator[SiteReply]:
        for site in SITES:
            assert [ref() for ref in alive if ref() is not None] == []
            update = with_values(make_update(site, TASK), np.nan if site == "south" else 0.0)
            alive.append(weakref.ref(update.delta.vector))
            yield update
            del update

    assert collect(replies(), TASK, SITES, PLAN, WeightedMean(3), clock=lambda: 0.0).mean.updates == 3
    assert len(alive) == 4


def test_seconds_count_the_work_and_not_the_waiting() -> None:
    ticks = iter(range(100))
    assert collect([GOOD], TASK, SITES, PLAN, WeightedMean(3), clock=lambda: float(next(ticks))).seconds == 1.0
