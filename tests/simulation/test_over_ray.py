"""What Ray is told of the GPUs."""

import math

import pytest

from simulation.over_ray import gpu_share


@pytest.mark.parametrize(
    ("gpus", "workers", "share"),
    [(0, 4, 0.0), (1, 1, 1.0), (1, 4, 0.25), (2, 4, 0.5), (3, 4, 0.5), (3, 2, 1.0), (8, 2, 4.0)],
)
def test_a_share_is_one_that_ray_takes_and_all_sites_find_room(gpus: int, workers: int, share: float) -> None:
    assert gpu_share(gpus, workers) == share
    if 0.0 < share < 1.0:
        assert gpus * math.floor(1.0 / share) >= workers
