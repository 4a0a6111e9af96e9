from common.label_meanings import indices_astride, indices_within

BINARY = ((0, 2), (1,), (2,), (3,), (1, 3))


def test_an_index_counts_when_all_that_it_may_be_counts() -> None:
    assert indices_within(BINARY, {1, 3}) == {1, 3, 4}
    assert indices_within(BINARY, {1}) == {1}
    assert indices_within((), {1, 3}) == {1, 3}


def test_an_index_is_astride_when_it_may_count_or_not() -> None:
    assert indices_astride(BINARY, {1, 3}) == ()
    assert indices_astride(BINARY, {1}) == (4,)
    assert indices_astride(BINARY, {1, 2, 3}) == (0,)
    assert indices_astride((), {1}) == ()
