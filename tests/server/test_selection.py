import pytest

from common.plan import Plan
from server.selection import quorum_of, select_sites
from tests.server.builders import make_plan


def test_sites_online_in_the_plans_order() -> None:
    assert select_sites(make_plan(), ("stranger", "west", "north")) == ("north", "west")


@pytest.mark.parametrize(
    ("fraction", "sites", "needed"),
    [(0.5, 5, 3), (0.0, 5, 1), (1.0, 4, 4), (0.28, 25, 7), (0.51, 4, 3), (0.1, 3, 1)],
)
def test_quorum_is_a_fraction_rounded_up(fraction: float, sites: int, needed: int) -> None:
    values = make_plan(quorum=fraction).model_dump() | {"sites": tuple(f"s{n}" for n in range(sites))}
    assert quorum_of(Plan(**values)) == needed
