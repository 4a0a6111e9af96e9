"""The registry decides who is registered at SuperLink; a stand-in takes Flower's place."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from common.errors import FedmetsError
from server.nodes import Changes, connections, read_nodes, reconcile
from server.registry import Status
from server.standing import set_standing
from server.superlink import FlowerFolder, flower_folder
from tests.server.flower_double import FlowerDouble
from tests.trust import DAY_0, Lab, day, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = make_lab(tmp_path)
    for name in ("north", "south"):
        lab.add(name)
    return lab


@pytest.fixture
def flower(lab: Lab) -> Iterator[FlowerDouble]:
    double = FlowerDouble(flower_folder(lab.server).path)
    assert reconcile(lab.server, double.cli, DAY_0, relist=True) == Changes(("north", "south"))
    assert len(double.calls()) == 3
    yield double


def commands(flower: FlowerDouble) -> list[str]:
    return [call[1] for call in flower.calls()]


def test_nothing_is_called_when_nothing_changed(lab: Lab, flower: FlowerDouble) -> None:
    assert reconcile(lab.server, flower.cli, DAY_0, relist=False) == Changes()
    assert (flower.calls(), flower.registered) == ([], ["north", "south"])


def test_a_new_site_is_registered_and_a_removed_one_unregistered(lab: Lab, flower: FlowerDouble) -> None:
    lab.add("east")
    set_standing(lab.server, "north", Status.REMOVED, DAY_0)
    assert str(reconcile(lab.server, flower.cli, DAY_0, False)) == "registered east; unregistered north"
    assert (commands(flower), flower.registered) == (["unregister", "register"], ["east", "south"])
    assert sorted(node.site for node in read_nodes(folder(lab))) == ["east", "south"]


def test_a_renewed_site_has_two_keys_until_the_old_one_ends(lab: Lab, flower: FlowerDouble) -> None:
    lab.renew("north", day(10))
    assert reconcile(lab.server, flower.cli, day(11), False) == Changes(("north",))
    assert flower.registered == ["north", "north", "south"]
    assert reconcile(lab.server, flower.cli, day(18), False) == Changes((), ("north",))
    assert flower.registered == ["north", "south"]


def test_a_node_that_was_registered_right_before_a_crash_is_replaced(lab: Lab, flower: FlowerDouble) -> None:
    folder(lab).nodes.unlink()
    make_database(lab)
    flower.set(nodes=[["registered", "somebody's key\n", "?"]])
    changes = reconcile(lab.server, flower.cli, DAY_0, relist=True)
    assert str(changes) == "registered north, south; unregistered an unknown one"
    assert flower.registered == ["north", "south"]


def test_a_superlink_that_lost_its_state_is_told_again(lab: Lab, flower: FlowerDouble) -> None:
    flower.set(nodes=[])
    assert reconcile(lab.server, flower.cli, DAY_0, relist=True) == Changes(("north", "south"))


def test_an_error_leaves_what_was_done_on_disk(lab: Lab, flower: FlowerDouble) -> None:
    set_standing(lab.server, "north", Status.SUSPENDED, DAY_0)
    flower.set(fail="Connection refused")
    with pytest.raises(FedmetsError, match="flwr supernode unregister failed: Connection refused"):
        reconcile(lab.server, flower.cli, DAY_0, relist=False)
    assert len(read_nodes(folder(lab))) == 2
    flower.set(fail="")
    assert reconcile(lab.server, flower.cli, DAY_0, relist=True) == Changes((), ("north",))


def test_a_key_that_superlink_does_not_let_go_of_is_said(lab: Lab, flower: FlowerDouble) -> None:
    """Freed in the database, of which the stand-in knows nothing: it goes on refusing."""
    set_standing(lab.server, "north", Status.SUSPENDED, DAY_0)
    reconcile(lab.server, flower.cli, DAY_0, False)
    make_database(lab)
    set_standing(lab.server, "north", Status.ACTIVE, DAY_0)
    with pytest.raises(FedmetsError, match="Public key already in use"):
        reconcile(lab.server, flower.cli, DAY_0, False)
    with closing(sqlite3.connect(folder(lab).database)) as database:
        rows = database.execute("SELECT public_key, status FROM node ORDER BY status").fetchall()
    assert rows == [("a", "registered"), (None, "unregistered")]


def folder(lab: Lab) -> FlowerFolder:
    return flower_folder(lab.server)


def make_database(lab: Lab) -> None:
    """The one table of Flower's that is touched, as far as it is."""
    with closing(sqlite3.connect(folder(lab).database)) as database, database:
        database.execute("CREATE TABLE node (public_key BLOB UNIQUE, status TEXT)")
        database.execute("INSERT INTO node VALUES ('a', 'registered'), ('b', 'unregistered')")


def test_how_the_sites_stand_at_superlink(lab: Lab, flower: FlowerDouble) -> None:
    lab.renew("north", day(10))
    reconcile(lab.server, flower.cli, day(11), False)
    assert connections(lab.server, flower.cli) == {"north": "registered", "south": "registered"}
    state = json.loads((flower.home / "double.json").read_text())
    for node, standing in zip(state["nodes"], ("offline", "offline", "online"), strict=True):
        node[0] = standing
    flower.set(nodes=state["nodes"])
    assert connections(lab.server, flower.cli) == {"north": "online", "south": "offline"}
