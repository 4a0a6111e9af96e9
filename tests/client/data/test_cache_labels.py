"""What the cache keeps of coarse labels and of lesions, and entries that were written before it kept either."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from client.data.cache import cache_key, ensure_prepared, open_prepared
from client.data.case import LabelRule
from client.data.lesion_sampling import number_lesions
from client.data.preprocessing import Recipe, prepare
from common.plan import PreprocessingSpec
from tests.client.data.heads import SHAPE, SPACING_MM, lesion, write_case
from tests.nifti import oriented_affine, write_nifti

PLAIN = Recipe(("t1c",), PreprocessingSpec(spacing_mm=SPACING_MM), LabelRule({1: 1}))
BINARY = ((0, 2), (1,), (2,), (3,), (1, 3))
COARSE = dataclasses.replace(PLAIN, rule=LabelRule({1: 4}, meanings=BINARY))


def test_meanings_and_lesion_numbers_come_back(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    found = open_prepared(tmp_path / "cache", ensure_prepared(case, COARSE, tmp_path / "cache"))
    assert found.meanings == BINARY
    assert found.label is not None and set(np.unique(found.label)) == {0, 4}
    assert found.reference is not None and set(np.unique(found.reference)) == {0, 4}
    assert found.lesion_numbers is not None
    assert np.array_equal(found.lesion_numbers, number_lesions(found.label, found.lesion_voxels))


def test_lesions_are_those_of_the_plans_tumour(tmp_path: Path) -> None:
    """The lesion of 36 voxels is 12 of rim in 24 of oedema; as another tumour it is another entry."""
    case = write_case(tmp_path / "p1")
    assert case.label is not None
    label = 2 * lesion()
    label[tuple(np.argwhere(label)[:12].T)] = 3
    write_nifti(case.label, label, oriented_affine("RAS", SPACING_MM, SHAPE))
    rule = LabelRule({1: 1, 2: 2, 3: 3})
    core, every = (
        dataclasses.replace(PLAIN, rule=rule, tumour=tumour)
        for tumour in (frozenset({1, 3}), frozenset({1, 2, 3}))
    )
    keys = [ensure_prepared(case, recipe, tmp_path / "cache") for recipe in (core, every)]
    counts = []
    for key in keys:
        numbers = open_prepared(tmp_path / "cache", key).lesion_numbers
        assert numbers is not None
        counts.append(np.bincount(numbers).tolist())
    assert counts == [[24, 12], [0, 36]]


def test_a_small_rim_in_oedema_is_still_there_on_the_plans_grid(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    assert case.label is not None
    label = 2 * lesion()
    label[tuple(np.argwhere(label)[17])] = 3
    write_nifti(case.label, label, oriented_affine("RAS", SPACING_MM, SHAPE))
    spec = PreprocessingSpec(spacing_mm=(12.0, 12.0, 12.0))
    recipe = Recipe(("t1c",), spec, LabelRule({1: 1, 2: 2, 3: 3}), tumour=frozenset({1, 3}))
    found = prepare(case, recipe)
    assert found.label is not None and int((found.label == 3).sum()) == 1
    assert found.lesion_numbers is not None and found.lesion_numbers.max() == 1


def test_background_that_may_be_oedema_is_another_entry_than_background(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    drawn, undrawn = (LabelRule({1: 4}, meanings=(first, *BINARY[1:])) for first in ((0,), (0, 2)))
    keys = {cache_key(case, dataclasses.replace(PLAIN, rule=rule)) for rule in (drawn, undrawn, LabelRule({1: 4}))}
    assert len(keys) == 3


def test_an_entry_of_before_is_read_as_plain_classes(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    key = ensure_prepared(write_case(tmp_path / "p1"), PLAIN, cache)
    file = cache / key / "entry.json"
    entry = json.loads(file.read_bytes())
    del entry["meanings"], entry["arrays"]["lesion_numbers"]
    file.write_text(json.dumps(entry))
    (cache / key / "lesion_numbers.npy").unlink()
    found = open_prepared(cache, key)
    assert (found.meanings, found.lesion_numbers) == ((), None)
    assert len(found.lesion_voxels) > 0
