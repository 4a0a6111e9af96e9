import pytest

from common.metrics.scores import CaseScores, LesionScore
from simulation.size_classes import mean_over_models, sensitivity_with_intervals, shown_sizes
from tests.simulation.judged_runs import OF_ALL_SIZES, make_scores_of


def lesions_of(patient: str, *volumes: float, found: bool = True) -> CaseScores:
    return CaseScores(patient, patient, "north", 0.5, tuple(LesionScore(v, found) for v in volumes), 0, 0)


def test_shares_by_diameter_are_of_all_lesions_together() -> None:
    """8 mm3 is 2.5 mm wide, 20 mm3 3.4, 60 mm3 4.9, 200 mm3 7.3, 400 mm3 9.1, 2000 mm3 15.6."""
    found = sensitivity_with_intervals(make_scores_of({"north": 5}), seed=1)
    assert {band: row["lesions"] for band, row in found.items()} == {
        "under_3": 5,
        "3_to_6": 10,
        "6_to_10": 10,
        "over_10": 5,
    }
    assert found["under_3"]["value"] == pytest.approx(2 / 5)  # of patients 1 and 3
    assert found["3_to_6"]["value"] == pytest.approx(5 / 10)
    assert found["under_3"]["low"] < 2 / 5 < found["under_3"]["high"]
    assert found["3_to_6"]["low"] == found["3_to_6"]["high"] == 0.5  # every patient has one of two


def test_a_band_without_lesions_is_empty() -> None:
    found = sensitivity_with_intervals([lesions_of("a", 8.0), lesions_of("b", 8.0)], seed=1)
    assert found["over_10"] == {"value": None, "lesions": 0, "low": None, "high": None}


def test_of_several_models_the_mean() -> None:
    models = [
        sensitivity_with_intervals([lesions_of("a", 8.0, found=found), lesions_of("b", 8.0)], seed=1)
        for found in (True, False)
    ]
    assert mean_over_models(models)["under_3"] == {"value": 0.75, "lesions": 2, "low": None, "high": None}
    assert mean_over_models(models)["over_10"]["value"] is None


def test_everything_is_shown_when_five_patients_are_behind_every_class() -> None:
    shown = shown_sizes(make_scores_of({"north": 5}))
    assert (shown.lesions, shown.diameters) == (True, True)
    assert shown.volumes == {"under_27", "27_to_275", "over_275"}


def test_a_class_of_four_takes_the_next_smallest_with_it() -> None:
    scores = [lesions_of(f"p{number}", 8.0, 60.0) for number in range(6)]
    scores += [lesions_of(f"q{number}", 8.0, 2000.0) for number in range(4)]
    shown = shown_sizes(scores)
    assert shown.volumes == {"under_27"}
    assert not shown.diameters


def test_diameters_are_left_out_where_a_class_of_few_would_follow_from_the_volumes() -> None:
    """Both divisions show ten patients or more in every band, but 20 mm3 (3.4 mm) is of two: 27 less 3 mm."""
    scores = [lesions_of(f"p{number}", 8.0, 60.0, 200.0, 400.0, 2000.0) for number in range(10)]
    assert shown_sizes(scores).diameters
    scores += [lesions_of(f"q{number}", 20.0) for number in range(2)]
    shown = shown_sizes(scores)
    assert shown.volumes == {"under_27", "27_to_275", "over_275"}
    assert not shown.diameters


def test_no_lesion_figure_with_fewer_than_five_patients_who_have_one() -> None:
    scores = [lesions_of(f"p{number}", *OF_ALL_SIZES) for number in range(4)]
    scores += [lesions_of(f"q{number}") for number in range(9)]
    shown = shown_sizes(scores)
    assert (shown.lesions, shown.volumes) == (False, frozenset())
    nobody = shown_sizes([lesions_of("a"), lesions_of("b")])
    assert nobody.lesions  # none to find hides nobody
