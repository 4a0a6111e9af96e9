"""Cases without an optional sequence, or with a made subtraction: what preparation and cache make of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from client.data.cache import cache_key, ensure_prepared, open_prepared
from client.data.case import Case, LabelRule
from client.data.preprocessing import Recipe, prepare
from common.errors import CaseReason, CaseRejected
from common.plan import PreprocessingSpec
from tests.client.data.heads import SHAPE, SPACING_MM, brain, head, lesion, write_case
from tests.nifti import oriented_affine, write_nifti

SPEC = PreprocessingSpec(spacing_mm=SPACING_MM)
MAKING = PreprocessingSpec(spacing_mm=SPACING_MM, make_subtraction=True)
STRICT = Recipe(("t1c", "flair"), SPEC, LabelRule({1: 1}))
UNION = dataclasses.replace(STRICT, optional_sequences=("flair",))
SUBTRACTED = Recipe(("t1c", "subtraction"), MAKING, LabelRule({1: 1}))


def without(case: Case, *names: str) -> Case:
    """The case as a site has it that does not acquire these."""
    return dataclasses.replace(case, sequences={n: p for n, p in case.sequences.items() if n not in names})


def with_plain(case: Case, folder: Path, gain: float = 1.0) -> Case:
    """The case with a t1 as well: its t1c without the lesion, at another gain."""
    affine = oriented_affine("RAS", SPACING_MM, SHAPE)
    bright = head(1) + 100.0 * lesion()
    files = {
        "t1c": write_nifti(folder / "t1c.nii.gz", bright.astype(np.float32), affine),
        "t1": write_nifti(folder / "t1.nii.gz", (head(1) * gain).astype(np.float32), affine),
    }
    return dataclasses.replace(case, sequences={**case.sequences, **files})


def test_an_absent_sequence_is_a_channel_of_zeros_and_nothing_else_changes(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    whole, partial = prepare(case, STRICT), prepare(without(case, "flair"), UNION)
    assert partial.absent_channels == (1,) and whole.absent_channels == ()
    assert partial.image.shape == whole.image.shape and not partial.image[1].any()
    assert partial.image[0].tobytes() == whole.image[0].tobytes()
    for name in ("label", "mask", "reference", "lesion_voxels"):
        assert getattr(partial, name).tobytes() == getattr(whole, name).tobytes()


def test_a_case_that_lacks_a_required_sequence_is_rejected_still(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    for missing, recipe in (("flair", STRICT), ("t1c", UNION)):
        with pytest.raises(CaseRejected, match=rf"no {missing}; the case has") as caught:
            prepare(without(case, missing), recipe)
        assert caught.value.reason is CaseReason.MISSING_SEQUENCE


def test_the_cache_tells_cases_apart_by_what_is_read_and_made_of_them(tmp_path: Path) -> None:
    case = with_plain(write_case(tmp_path / "p1"), tmp_path / "p1")
    assert cache_key(case, UNION) == cache_key(case, STRICT)  # what a whole case becomes is the same
    assert cache_key(without(case, "flair"), UNION) != cache_key(case, UNION)
    both = dataclasses.replace(SUBTRACTED, sequences=("t1c", "t1", "subtraction"))
    optional = dataclasses.replace(both, spec=SPEC, optional_sequences=("subtraction",))
    assert cache_key(case, both) != cache_key(case, optional)  # the same files, made into something or not
    plain = cache_key(case, SUBTRACTED)
    with_plain(case, tmp_path / "p1", gain=2.0)
    assert cache_key(case, SUBTRACTED) != plain  # t1 counts as read
    folder = tmp_path / "cache"
    found = open_prepared(folder, ensure_prepared(without(case, "flair"), UNION, folder))
    assert found.absent_channels == (1,)


def test_keys_of_plans_without_these_settings_are_those_of_old(tmp_path: Path) -> None:
    """`make_subtraction` stays out of the key where nothing is made, so that filled caches go on serving."""
    case = write_case(tmp_path / "p1")
    making = dataclasses.replace(STRICT, spec=MAKING)
    assert cache_key(case, making) == cache_key(case, STRICT)


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_a_made_subtraction_shows_what_enhances(tmp_path: Path, gain: float) -> None:
    case = with_plain(write_case(tmp_path / "p1"), tmp_path / "p1", gain)
    made = prepare(case, SUBTRACTED)
    assert made.absent_channels == () and made.label is not None
    inside = made.image[1][made.mask == 1].astype(np.float64)
    assert inside.mean() == pytest.approx(0.0, abs=1e-6) and inside.std() == pytest.approx(1.0, abs=1e-6)
    assert made.image[1][made.label == 1].min() > 5.0 > np.abs(made.image[1][made.label == 0]).max()
    # made by hand: 36 voxels of 100 among 0, z-scored, up to what the lesion moves the quartiles
    share = 36 / brain().sum()
    expected = (1 - share) / np.sqrt(share * (1 - share))
    assert np.median(made.image[1][made.label == 1]) == pytest.approx(expected, rel=0.02)


def test_a_file_is_preferred_and_what_cannot_be_made_is_missing_as_any_other(tmp_path: Path) -> None:
    case = with_plain(write_case(tmp_path / "p1"), tmp_path / "p1")
    file = write_nifti(tmp_path / "p1" / "sub.nii.gz", head(9), oriented_affine("RAS", SPACING_MM, SHAPE))
    given = dataclasses.replace(case, sequences={**case.sequences, "subtraction": file})
    expected = prepare(without(given, "t1"), dataclasses.replace(SUBTRACTED, spec=SPEC))
    assert prepare(given, SUBTRACTED).image.tobytes() == expected.image.tobytes()
    with pytest.raises(CaseRejected, match="no subtraction, nor both t1c and t1 to make it of"):
        prepare(without(case, "t1"), SUBTRACTED)
    optional = dataclasses.replace(SUBTRACTED, optional_sequences=("subtraction",))
    assert prepare(without(case, "t1"), optional).absent_channels == (1,)
