from dataclasses import replace

import pytest

from simulation.arms import compare_arms, describe_arm, describe_local, local_rows
from tests.simulation.experiments import make_scores

SITES = ("north", "south")
NORTH_MODEL = (make_scores("north", 0.8), make_scores("south", 0.4, found=False))
SOUTH_MODEL = (make_scores("north", 0.2), make_scores("south", 0.6))


def test_one_model_over_all_cases_and_by_site() -> None:
    arm = describe_arm(NORTH_MODEL, SITES, seed=1)
    assert arm["dice"] == pytest.approx(0.6)
    assert (arm["lesion_sensitivity"], arm["lesion_precision"], arm["fp_per_scan"]) == (0.5, 0.5, 1.0)
    assert arm["sensitivity_by_volume"]["27_to_275"] == {"value": 0.5, "lesions": 2}
    assert arm["sensitivity_by_volume"]["under_27"] == {"value": None, "lesions": 0}
    assert [arm["per_site"][site]["dice"] for site in SITES] == [0.8, 0.4]
    low, high = arm["intervals"]["dice"]["low"], arm["intervals"]["dice"]["high"]
    assert 0.4 <= low < arm["dice"] < high <= 0.8


def test_lesionwise_scores_have_intervals_over_patients_and_stand_by_site() -> None:
    scores = tuple(
        replace(make_scores("north" if number % 2 else "south", 0.5, f"p{number}"), lesionwise_dice=value)
        for number, value in enumerate((0.1, 0.2, 0.4, 0.5))
    )
    scores = tuple(replace(score, lesionwise_hd95_mm=100.0) for score in scores)
    arm = describe_arm(scores, SITES, seed=1)
    assert (arm["lesionwise_dice"], arm["lesionwise_hd95"]) == (pytest.approx(0.3), 100.0)
    assert [arm["per_site"][site]["lesionwise_dice"] for site in SITES] == pytest.approx([0.35, 0.25])
    interval = arm["intervals"]["lesionwise_dice"]
    assert (interval["estimate"], interval["units"]) == (pytest.approx(0.3), 4)
    assert 0.1 <= interval["low"] < 0.2 and 0.4 < interval["high"] <= 0.5
    assert arm["intervals"]["lesionwise_hd95"]["low"] == 100.0
    other = tuple(replace(score, lesionwise_dice=0.1) for score in scores)
    local = describe_local({"north": scores, "south": other}, SITES, seed=1)
    assert local["lesionwise_dice"] == pytest.approx((0.3 + 0.1) / 2)


def test_lesionwise_scores_are_means_over_exams_of_which_a_patient_may_have_two() -> None:
    patients = {"p0": (0.2, 0.4), "p1": (0.9,)}
    scores = tuple(
        replace(make_scores("north", 0.5, patient), lesionwise_dice=value)
        for patient, values in patients.items()
        for value in values
    )
    interval = describe_arm(scores, SITES, seed=1)["intervals"]["lesionwise_dice"]
    assert (interval["estimate"], interval["units"]) == (pytest.approx(0.5), 2)
    assert (interval["low"], interval["high"]) == (pytest.approx(0.3), pytest.approx(0.9))


def test_local_models_are_averaged_and_crossed() -> None:
    arm = describe_local({"north": NORTH_MODEL, "south": SOUTH_MODEL}, SITES, seed=1)
    assert arm["dice"] == pytest.approx((0.6 + 0.4) / 2)
    assert arm["lesion_sensitivity"] == pytest.approx((0.5 + 1.0) / 2)
    assert arm["cross_site"] == {"north": {"north": 0.8, "south": 0.4}, "south": {"north": 0.2, "south": 0.6}}
    assert arm["per_site"]["south"]["dice"] == pytest.approx(0.4)
    assert arm["sensitivity_by_volume"]["27_to_275"] == {"value": 0.75, "lesions": 2}


def test_a_score_without_cases_is_null() -> None:
    assert describe_arm((), SITES, seed=1)["dice"] is None
    only_north = (make_scores("north", 0.8),)
    assert describe_arm(only_north, SITES, seed=1)["per_site"]["south"] == {
        **describe_arm((), SITES, seed=1)["per_site"]["south"],
        "cases": 0,
        "dice": None,
    }
    assert describe_local({"north": only_north}, SITES, seed=1)["cross_site"]["north"]["south"] is None


def test_arms_are_compared_on_the_same_patients() -> None:
    ratio = compare_arms([NORTH_MODEL], [SOUTH_MODEL], "ratio", seed=1)
    assert ratio["dice"]["estimate"] == pytest.approx(1.5)
    difference = compare_arms([NORTH_MODEL], [SOUTH_MODEL], "difference", seed=1)
    assert difference["dice"]["estimate"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="judged in one arm only"):
        compare_arms([NORTH_MODEL], [SOUTH_MODEL[:1]], "ratio", seed=1)


def test_intervals_follow_from_the_seed() -> None:
    assert describe_arm(NORTH_MODEL, SITES, seed=1) == describe_arm(NORTH_MODEL, SITES, seed=1)


def test_local_rows_are_named_by_the_site_of_training() -> None:
    rows = local_rows({"federated": (), "local-north": NORTH_MODEL, "pooled": ()})
    assert rows == {"north": NORTH_MODEL}


def test_the_local_interval_is_of_the_mean_over_models() -> None:
    """Lesion precision is a ratio: the mean of two models' ratios is not the ratio of their sums."""
    busy = tuple(replace(score, predicted_lesions=10, false_positives=8) for score in NORTH_MODEL)
    models = {"north": busy, "south": SOUTH_MODEL}
    arm = describe_local(models, SITES, seed=1)
    for name in ("dice", "lesion_sensitivity", "lesion_precision", "fp_per_scan"):
        assert arm["intervals"][name]["estimate"] == pytest.approx(arm[name]), name
    for band, share in arm["sensitivity_by_volume"].items():
        assert arm["intervals"][f"sensitivity_{band}"]["estimate"] == pytest.approx(share["value"]), band
