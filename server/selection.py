"""Which sites are asked in a round."""

import math
from collections.abc import Iterable

from common.plan import Plan


def select_sites(plan: Plan, online: Iterable[str]) -> tuple[str, ...]:
    """All sites of the plan that are online, in the plan's order whatever the order of `online`."""
    available = set(online)
    return tuple(site for site in plan.sites if site in available)


def quorum_of(plan: Plan) -> int:
    """Updates that a round needs: ceil(quorum * sites), at least 1.

    Half of 5 sites is 3; a quorum of 0 still needs 1. 0.28 of 25 is 7: the 7.000000000000001 of floating
    point is not rounded up.
    """
    return max(1, math.ceil(plan.federation.quorum * len(plan.sites) - 1e-9))
