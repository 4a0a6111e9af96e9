"""What of a run may be handed on: nothing from which a group of fewer than five patients follows."""

import json
from dataclasses import replace

import numpy as np
import pytest

from simulation.publishing import public_arms, public_counts, public_groups
from simulation.result import build_result
from tests.simulation.experiments import SITES
from tests.simulation.judged_runs import make_judged, make_scores_of


def test_a_site_of_four_takes_another_with_it() -> None:
    counts = public_counts(make_judged(make_scores_of({"north": 9, "south": 7, "west": 4})))
    assert counts["test"].by_site == {"north": 9, "south": None, "west": None}
    assert (counts["test"].patients, counts["test"].exams) == (20, 20)
    assert counts["training"].by_site == dict.fromkeys(SITES, 6)
    assert (counts["validation"].by_site, counts["validation"].patients) == (dict.fromkeys(SITES, 0), 0)


def test_a_total_of_four_is_hidden() -> None:
    counts = public_counts(make_judged(make_scores_of({"north": 4})))
    assert counts["test"].by_site == {"north": None, "south": 0, "west": 0}
    assert (counts["test"].patients, counts["test"].exams) == (None, None)


@pytest.mark.parametrize("seed", range(40))
def test_no_number_below_five_follows_from_any_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tests, training = ({site: int(rng.integers(0, 9)) for site in SITES} for _ in range(2))
    judged = make_judged(make_scores_of(tests), training)
    for role, truth in (("test", tests), ("training", training)):
        counts = public_counts(judged)[role]
        shown = {site: count for site, count in counts.by_site.items() if count is not None}
        assert all(truth[site] == count and (count == 0 or count >= 5) for site, count in shown.items())
        if counts.patients is not None:
            rest = counts.patients - sum(shown.values())
            hidden = [site for site in SITES if site not in shown]
            assert not hidden or (len(hidden) > 1 and rest >= 5)
    for field, rows in public_groups(build_result(judged)).items():
        of_all = sum(tests.values())
        rest = of_all - sum(row["patients"] for row in rows)
        assert rest == 0 or rest >= 5 or of_all < 5, field
        assert all(row["patients"] >= 5 for row in rows)


def test_scores_are_those_of_the_result_without_the_sites() -> None:
    judged = make_judged(make_scores_of({"north": 6, "south": 6}))
    result = build_result(judged)
    arm = public_arms(result, judged.scores["federated"])["federated"]
    assert arm["intervals"] == result["arms"]["federated"]["intervals"]
    assert arm["sensitivity_by_diameter"] == result["arms"]["federated"]["sensitivity_by_diameter"]
    assert "per_site" not in arm
    assert not any(site in json.dumps(arm) for site in SITES)


def test_hidden_sizes_are_hidden_in_every_arm_and_in_the_intervals() -> None:
    scores = make_scores_of({"north": 6}, (8.0,)) + make_scores_of({"south": 6}, (60.0,))
    scores += make_scores_of({"west": 4}, (2000.0,))
    judged = make_judged(scores)
    for arm in public_arms(build_result(judged), scores).values():
        bands = arm["sensitivity_by_volume"]
        assert [bands[band] is None for band in ("under_27", "27_to_275", "over_275")] == [False, True, True]
        assert "sensitivity_under_27" in arm["intervals"]
        assert not {"sensitivity_27_to_275", "sensitivity_over_275"} & set(arm["intervals"])
        assert arm["sensitivity_by_diameter"] is None
        assert arm["lesions"] == 16 if "lesions" in arm else True


def test_what_counts_lesions_is_hidden_when_four_patients_have_one() -> None:
    scores = tuple(
        replace(score, lesionwise_dice=0.5, lesionwise_hd95_mm=5.0)
        for score in make_scores_of({"north": 4}) + make_scores_of({"south": 9}, ())
    )
    judged = make_judged(scores)
    arm = public_arms(build_result(judged), scores)["federated"]
    counting = {"lesions", "lesion_sensitivity", "lesion_precision", "lesionwise_dice", "lesionwise_hd95"}
    assert not counting & {*arm, *arm["intervals"]}
    assert arm["froc"] is None
    assert arm["dice"] is not None


def test_of_four_test_patients_no_score_is_shown() -> None:
    scores = make_scores_of({"north": 4})
    assert public_arms(build_result(make_judged(scores)), scores) == {}
