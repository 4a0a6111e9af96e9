"""What the cache keeps of coarse labels and of lesions, and entries that were written before it kept either."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from client.data.cache import cache_key, ensure_prepared, open_prepared
from client.data.case import LabelRule
from client.data.lesion_sampling import number_lesions
from client.data.preprocessing import Recipe
from common.plan import PreprocessingSpec
from tests.client.data.heads import SPACING_MM, write_case

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
