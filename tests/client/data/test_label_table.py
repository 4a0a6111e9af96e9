import numpy as np

from client.data.label_table import where_any


def test_indices_among_those_named() -> None:
    indices = np.array([0, 1, 2, 3], np.uint8)
    assert where_any(indices, {1, 3}).tolist() == [False, True, False, True]
    assert where_any(indices, frozenset()).tolist() == [False, True, True, True]


def test_wide_values_and_an_index_that_the_type_cannot_hold() -> None:
    assert where_any(np.array([3, 65_535], np.uint16), {65_535, 70_000}).tolist() == [False, True]
