"""Whom the aggregator asks, and for how long its messages live: the plan's sites alone, until the deadline."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flwr.app import Message

from server.approvals import Approvals
from server.flower_link import FlowerLink
from server.selection import select_sites
from tests.server.builders import make_task
from tests.trust import DAY_0
from tests.wired import DeskGrid, Wired, wire

STRANGER, STRANGERS_NODE = "enrolled-for-another-plan", 99


@dataclass
class WatchedGrid(DeskGrid):
    """Writes down to which node each message goes, and how many seconds it lives."""

    asked: list[tuple[int, float]] = field(default_factory=list)

    def push_messages(self, messages: Iterable[Message]) -> Iterator[str]:
        kept = list(messages)
        self.asked += [(one.metadata.dst_node_id, one.metadata.ttl) for one in kept]
        yield from super().push_messages(kept)


@pytest.fixture
def lab(tmp_path: Path) -> Wired:
    return wire(tmp_path)


def watched(lab: Wired) -> tuple[WatchedGrid, dict[str, int]]:
    """A grid at which a site is signed in that has no part in the plan, and who is there."""
    grid = WatchedGrid(lab.grid.desks, lab.grid.names)
    return grid, {name: node for node, name in lab.grid.names.items()} | {STRANGER: STRANGERS_NODE}


def test_a_round_goes_to_the_plans_sites_and_no_message_outlives_its_deadline_by_long(lab: Wired) -> None:
    grid, nodes = watched(lab)
    server = lab.lab.server
    link = FlowerLink(grid, lab.plan, lambda: nodes, server, lambda: server.identity(None), lambda: DAY_0)
    sites = select_sites(lab.plan, link.online())
    assert sites == lab.plan.sites
    assert {reply.site for reply in link.train(sites, make_task(lab.plan), 30.0)} == set(lab.plan.sites)
    assert [node for node, _ in grid.asked] == [1, 2, 3, 4]
    assert all(30.0 <= ttl_s <= 90.0 for _, ttl_s in grid.asked)


def test_a_plan_is_proposed_to_its_own_sites_alone(lab: Wired) -> None:
    grid, nodes = watched(lab)
    said: list[str] = []

    def note(site: str, standing: str) -> None:
        said.append(site)

    message, server = lab.kept.envelope, lab.lab.server
    assert Approvals(grid, message, lab.plan, lambda: nodes, server, lambda: DAY_0, note).wait(60.0)
    assert (sorted(said), [node for node, _ in grid.asked]) == (sorted(lab.plan.sites), [1, 2, 3, 4])
