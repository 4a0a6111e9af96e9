import pytest

from common.errors import DataError
from common.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity, merge_fingerprints, summarise


def _row(number: int, edge_mm: float, length: int, mean: float = 100.0) -> CaseFingerprint:
    values = Intensity(mean=mean, sd=10.0, p005=60.0, p995=140.0, cases=1)
    return CaseFingerprint(
        exam=f"p{number}A",
        patient=f"p{number}",
        spacing_mm=(1.0, 1.0, edge_mm),
        shape=(140, 170, length),
        cropped_share=0.4,
        intensities={"t1c": values} if number % 2 else {"t1c": values, "flair": values},
    )


def test_medians_and_percentiles_in_any_order() -> None:
    rows = [_row(number, edge_mm, 150) for number, edge_mm in enumerate((1.0, 1.0, 1.5, 2.0, 5.0))]
    found = summarise(rows)
    assert found == summarise(rows[::-1])
    assert found.spacing_mm == (1.0, 1.0, 1.5)
    assert found.spacing_p10_mm == (1.0, 1.0, 1.0)
    assert found.extent_mm == (140.0, 170.0, 225.0)
    assert (found.cases, found.patients) == (5, 5)
    assert (found.intensities["t1c"].cases, found.intensities["flair"].cases) == (5, 3)


def test_shape_at_another_spacing_is_to_half_a_voxel() -> None:
    found = summarise([_row(1, 1.5, 100), _row(2, 1.5, 101)])
    assert found.shape_at((1.0, 1.0, 1.5)) == (140.0, 170.0, 100.5)
    assert found.shape_at((2.0, 3.0, 1.0)) == (70.0, 56.5, 151.0)


def test_shape_at_the_target_is_the_median_of_rounded_shapes() -> None:
    found = summarise([_row(number, 1.0, length) for number, length in enumerate((99, 100, 101))])
    assert found.median_shape == found.target_shape == (140.0, 170.0, 100.0)
    mixed = summarise([_row(1, 1.0, 101), _row(2, 1.0, 101), _row(3, 2.0, 60), _row(4, 2.0, 40)])
    assert mixed.target.spacing_mm == (1.0, 1.0, 1.5)
    assert mixed.median_shape == (140.0, 170.0, 67.0)  # of 67, 67, 80 and 53: 101 mm are 67.33 voxels
    assert mixed.shape_at((1.0, 1.0, 1.5)) == (140.0, 170.0, 67.5)


def test_no_case_no_fingerprint() -> None:
    with pytest.raises(DataError, match="no usable case"):
        summarise([])


def test_sites_merge_by_their_cases() -> None:
    fine, thick = _site(30, 1.0, 100.0), _site(10, 3.0, 200.0)
    merged = merge_fingerprints([fine, thick])
    assert merged.spacing_mm == (1.0, 1.0, 1.5)  # as no site has it: a mean of medians
    assert merged.intensities["t1c"].mean == 125.0
    assert merged.intensities["flair"].cases == 20
    assert (merged.cases, merged.patients) == (40, 40)
    assert merge_fingerprints([thick, fine]) == merged
    assert merge_fingerprints([fine]) == fine


def test_pooled_rows_and_equal_sites_agree() -> None:
    rows = [_row(number, 1.5, 150, mean=90.0 + number) for number in range(20)]
    merged, pooled = merge_fingerprints([summarise(rows[:10]), summarise(rows[10:])]), summarise(rows)
    apart: dict[str, object] = {"intensities": {}, "target_shape": None}
    assert merged.model_copy(update=apart) == pooled.model_copy(update=apart)
    assert (merged.target_shape, pooled.target_shape) == (None, (140.0, 170.0, 150.0))
    assert merged.median_shape == pooled.median_shape
    assert merged.intensities["t1c"].mean == pytest.approx(pooled.intensities["t1c"].mean, rel=1e-12)


def test_site_of_four_patients_is_not_shown() -> None:
    with pytest.raises(DataError, match="covers 4 patients, 5 are the least"):
        merge_fingerprints([_site(30, 1.0, 100.0), _site(4, 1.0, 100.0)])
    with pytest.raises(DataError, match="no site"):
        merge_fingerprints([])


def test_a_site_discloses_no_row() -> None:
    text = _site(30, 1.0, 100.0).to_json()
    assert Fingerprint.from_json(text) == _site(30, 1.0, 100.0)
    assert "p7" not in text
    assert len(text) < len(_site(7, 1.0, 100.0).to_json()) + 16  # grows by digits, not by cases


def _site(cases: int, edge_mm: float, mean: float) -> Fingerprint:
    return summarise([_row(number, edge_mm, 150, mean) for number in range(cases)])
