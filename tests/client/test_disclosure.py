"""What leaves of a site's patients, by hand, and nothing of a site that has too few."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from client.disclosure import reasons_that_leave, sums_that_leave, training_count_that_leaves
from client.round import train_round
from common.metrics.scores import CaseScores, LesionScore
from common.plan import EvaluationSpec, FederationSpec, Plan
from common.protocol import SUPPRESSED, CaseSums, LesionCounts, TrainTask
from common.wire import ReplyBody
from tests.client.prepared import ball_case
from tests.client.test_policy import PLAN, SITE, TASK

VOLUMES_MM3 = {"s": 10.0, "m": 100.0, "l": 1000.0}


def exam(patient: str, dice: float, lesions: Sequence[str] = (), false: int = 0, name: str = "1") -> CaseScores:
    """Lesions as "s", "m" or "l"; in upper case when found."""
    scored = tuple(LesionScore(VOLUMES_MM3[one.lower()], one.isupper()) for one in lesions)
    return CaseScores(patient, f"{patient}-{name}", "north", dice, scored, len(lesions) + false, false)


def told(scores: Sequence[CaseScores], smallest_cell: int = 5) -> CaseSums:
    sums = sums_that_leave(scores, smallest_cell)
    assert isinstance(sums, CaseSums)
    return sums


def test_a_patient_counts_once_however_many_exams() -> None:
    exams = [exam("a", 0.2, "Ss", 3), exam("a", 0.6, "M", 1, "2"), *(exam(one, 0.5, "S") for one in "bcde")]
    sums = told(exams)
    assert (sums.patients, sums.cases) == (5, 6)
    assert np.allclose((sums.dice, sums.dice_squared), (0.4 + 4 * 0.5, 0.16 + 4 * 0.25))
    assert (sums.false_positives, sums.false_positives_squared) == (2.0, 4.0)
    assert sums.lesions == LesionCounts(7, 6)


def test_fewer_patients_than_the_smallest_cell_are_suppressed_and_exams_do_not_help() -> None:
    four = [exam(one, 0.5, "S") for one in "abcd"]
    assert sums_that_leave([*four, exam("d", 0.5, "S", name="2")], 5) == SUPPRESSED
    assert told([*four, exam("e", 0.5)]).patients == 5
    assert told(four[:1], smallest_cell=1).patients == 1
    assert sums_that_leave([], 5) is None


def test_a_single_small_class_takes_a_second_with_it() -> None:
    exams = [*(exam(one, 0.5, "sM") for one in "abcde"), exam("f", 0.5, "sLl")]
    sums = told(exams)
    assert sums.by_volume == {"under_27": LesionCounts(6, 0)}  # of the large ones, f's alone, and the medium ones
    assert sums.lesions == LesionCounts(13, 6)


def test_two_small_classes_that_are_still_small_together_take_the_third() -> None:
    sums = told(
        [*(exam(one, 0.5, "S") for one in "abcde"), exam("a", 0.5, "m", name="2"), exam("b", 0.5, "L", name="2")]
    )
    assert (sums.by_volume, sums.lesions) == ({}, LesionCounts(7, 6))


def test_lesions_of_few_patients_are_told_nowhere_and_those_of_nobody_are_none() -> None:
    sums = told([*(exam(one, 0.5) for one in "abcd"), exam("e", 0.5, "Ss")])
    assert sums.lesions is None
    assert sums.by_volume == {"27_to_275": LesionCounts(0, 0), "over_275": LesionCounts(0, 0)}


def test_small_counts_of_unusable_cases_are_told_only_to_be_there() -> None:
    reasons = {"missing-label": 2, "not-3d": 7}
    assert reasons_that_leave(reasons, 5) == ({"not-3d": 7}, True)
    assert reasons_that_leave(reasons, 1) == (reasons, False)
    assert reasons_that_leave({}, 5) == ({}, False)


def test_training_cases_are_counted_when_they_weigh_or_are_of_enough_patients() -> None:
    def plan(weighting: str, smallest_cell: int) -> Plan:
        settings = {"weighting": weighting, "rounds": 4}
        return PLAN.model_copy(
            update={
                "federation": FederationSpec.model_validate(settings),
                "evaluation": EvaluationSpec(smallest_cell=smallest_cell),
            }
        )

    three = SITE.training_cases
    told = [training_count_that_leaves(three, plan(*one)) for one in (("cases", 5), ("equal", 5), ("equal", 3))]
    assert told == [3, None, 3]
    assert training_count_that_leaves((*three, three[0]), plan("steps", 4)) is None  # four cases of three


def reply(patients: int, smallest_cell: int) -> tuple[bytes, str]:
    """What leaves a site with so many validation patients, durations aside, and the update's sha256."""
    plan = PLAN.model_copy(update={"evaluation": EvaluationSpec(smallest_cell=smallest_cell)})
    site = replace(SITE, plan=plan, validation_cases=tuple(ball_case(10 + one) for one in range(patients)))
    update = train_round(TrainTask(plan.fingerprint(), 1, TASK.weights), site)
    report = replace(update.report, seconds=0.0, train_seconds=0.0, evaluate_seconds=0.0)
    body = ReplyBody(
        federation="f",
        site="north",
        plan_id="0" * 64,
        round_id=1,
        nonce="0" * 32,
        outcome="update",
        report=report,
    )
    return body.to_json().encode(), update.delta.sha256()


def test_one_and_four_validation_patients_leave_the_same_bytes_and_training_the_same_bits() -> None:
    (one, trained), (four, same), (shown, also) = reply(1, 5), reply(4, 5), reply(4, 1)
    assert one == four and b'"incoming":"suppressed"' in four and b"dice" not in four
    assert b'"patients":4' in shown
    assert trained == same == also
