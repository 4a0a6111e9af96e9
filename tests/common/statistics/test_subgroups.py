import pytest

from common.statistics.patients import scores_by_patient
from common.statistics.subgroups import FIELDS, UNKNOWN, group_of, group_patients
from tests.common.statistics.cohort import Exam, case, cohort


@pytest.mark.parametrize(
    ("field", "exam", "group"),
    [
        ("sex", Exam(sex="Female"), "female"),
        ("sex", Exam(sex=" m "), "male"),
        ("sex", Exam(sex="?"), UNKNOWN),
        ("age", Exam(age_years=59.9), "under 60"),
        ("age", Exam(age_years=60.0), "60 and over"),
        ("age", Exam(), UNKNOWN),
        ("primary_cancer", Exam(primary_cancer="  Renal  Cell"), "renal cell"),
        ("field_strength", Exam(field_strength_t=3.0), "3 T"),
        ("field_strength", Exam(field_strength_t=1.5), "1.5 T"),
        ("sex", None, UNKNOWN),
        ("site", None, "north"),
    ],
)
def test_a_patient_falls_into_one_group(field: str, exam: Exam | None, group: str) -> None:
    (patient,) = scores_by_patient([case("p1")]).values()
    assert group_of(field, patient, exam) == group


@pytest.mark.parametrize(
    ("lesions", "group"),
    [(0, "no lesion"), (1, "1 lesion"), (2, "2 to 4 lesions"), (4, "2 to 4 lesions"), (5, "5 to 10 lesions"),
     (10, "5 to 10 lesions"), (11, "over 10 lesions")],
)  # fmt: skip
def test_burden_bands(lesions: int, group: str) -> None:
    (patient,) = scores_by_patient([case("p1", lesions=lesions, found=0)]).values()
    assert group_of("lesion_burden", patient, None) == group


def test_a_patient_of_two_exams_counts_once_by_the_first() -> None:
    scores = [case("p1", exam="B", lesions=6, dice=0.9), case("p1", exam="A", lesions=1, dice=0.5), case("p2")]
    traits = {("north", "p1A"): Exam(age_years=59), ("north", "p1B"): Exam(age_years=60)}
    groups = group_patients(scores, traits)
    (young,) = groups["age"]["under 60"]
    assert (young.cases, young.mean_dice, young.lesions) == (2, 0.7, 7)
    assert [p.patient for p in groups["lesion_burden"]["1 lesion"]] == ["p1"]
    assert [p.patient for p in groups["age"][UNKNOWN]] == ["p2"]


def test_every_field_adds_up() -> None:
    scores = (*cohort(0), *cohort(1, 30, "south"))
    for field, groups in group_patients(scores, {("north", "p003A"): Exam(sex="F")}).items():
        assert field in FIELDS
        assert sum(len(patients) for patients in groups.values()) == 90
    assert list(group_patients(scores, {})["site"]) == ["north", "south"]
