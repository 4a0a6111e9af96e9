import threading

import pytest
import torch

from client.data.prefetch import batches
from client.data.sampling import Batch


class Counting:
    """Gives batches holding 0, 1, 2, ...; fails at a chosen one."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.given = 0
        self._fail_at = fail_at

    def next(self) -> Batch:
        if self.given == self._fail_at:
            raise OSError("disk gone")
        self.given += 1
        value = torch.full((1, 1, 1, 1, 1), float(self.given - 1))
        return Batch(value, torch.zeros(1, 1, 1, 1, dtype=torch.int64), torch.ones(1), ())


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_come_in_order_and_no_more_are_drawn_than_asked_for(ahead: bool) -> None:
    sampler = Counting()
    with batches(sampler, 12, ahead) as stream:
        assert [int(batch.image.item()) for batch in stream] == list(range(12))
    assert sampler.given == 12


@pytest.mark.parametrize("ahead", [False, True])
def test_an_error_of_the_sampler_is_raised_where_its_batch_was_due(ahead: bool) -> None:
    with batches(Counting(fail_at=2), 5, ahead) as stream:
        assert [next(stream).image.item(), next(stream).image.item()] == [0.0, 1.0]
        with pytest.raises(OSError, match="disk gone"):
            next(stream)


def test_the_thread_ends_when_the_loop_is_left_early() -> None:
    before = threading.active_count()
    sampler = Counting()
    with batches(sampler, 1000, ahead=True) as stream:
        next(stream)
    assert threading.active_count() == before
    assert sampler.given <= 7
