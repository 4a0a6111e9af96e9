"""The SuperLink's nodes follow the registry of sites: the keys of active sites are registered, no others.

Flower does not list which key a node was registered with, so what it was told is kept in DIR/flower/nodes.json.
A node that is not in that file, as after a crash between the two, is unregistered and its site registered anew.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from common.durable import write_durably
from common.errors import FedmetsError, StorageError
from common.node_key import NodeLine
from common.plan import Name
from common.schema import Frozen
from server.flower_cli import FlowerCli
from server.provisioning import ServerFolder
from server.site_trust import node_keys
from server.superlink import CONNECTION, FlowerFolder, flower_folder

_KEY_TAKEN = "already in use"
_DATABASE_TIMEOUT_S = 10.0


class Node(Frozen):
    """A site's key as SuperLink knows it."""

    site: Name
    key: NodeLine
    node_id: int


class Nodes(Frozen):
    """Everything that SuperLink was told and that it still holds."""

    schema_version: Literal[1] = 1
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reconciliation did, as names of sites; "" for a node that was nobody's."""

    registered: tuple[str, ...] = ()
    unregistered: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"registered {', '.join(self.registered)}"] if self.registered else []
        if self.unregistered:
            said.append("unregistered " + ", ".join(site or "an unknown one" for site in self.unregistered))
        return "; ".join(said)


def reconcile(folder: ServerFolder, cli: FlowerCli, now: datetime, relist: bool) -> Changes:
    """Bring SuperLink's nodes in line with the registry; takes two seconds a change and none without one.

    Unregistering comes first. Every step is on disk before the next one.

    Args:
        folder: whose registry counts.
        cli: the SuperLink's.
        now: keys that a renewal put out of force count until then.
        relist: ask SuperLink what it holds before anything; after a start, and after an error.

    Raises:
        FedmetsError: Flower refuses a change; call again with `relist`.
        StorageError: nodes.json cannot be written.
    """
    wanted = {key: site for site, keys in node_keys(folder, now).items() for key in keys}
    flower = flower_folder(folder)
    known = read_nodes(flower)
    unregistered: list[str] = []
    if relist:
        listed = list_nodes(cli)
        known = [node for node in known if node.node_id in listed]
        for stranger in sorted(listed - {node.node_id for node in known}):
            _unregister(cli, stranger)
            unregistered.append("")
        _write(flower, known)
    for node in [node for node in known if wanted.get(node.key) != node.site]:
        _unregister(cli, node.node_id)
        known.remove(node)
        _write(flower, known)
        unregistered.append(node.site)
    registered: list[str] = []
    held = {node.key for node in known}
    for key in [key for key in wanted if key not in held]:
        known.append(Node(site=wanted[key], key=key, node_id=_register(flower, cli, wanted[key], key)))
        _write(flower, known)
        registered.append(wanted[key])
    return Changes(tuple(sorted(registered)), tuple(unregistered))


def connections(folder: ServerFolder, cli: FlowerCli) -> dict[str, str]:
    """How each registered site's node stands at SuperLink: registered (never seen), online or offline.

    A site with two keys, after a renewal, stands as the better of its nodes. SuperLink takes up to a minute to
    notice that a node is gone. Raises FedmetsError.
    """
    site_of = {node.node_id: node.site for node in read_nodes(flower_folder(folder))}
    found: dict[str, str] = {}
    for node in cli.call("supernode", "list", CONNECTION)["nodes"]:
        site = site_of.get(int(node["node-id"]))
        if site is not None and found.get(site) != "online":
            found[site] = str(node["status"])
    return found


def list_nodes(cli: FlowerCli) -> set[int]:
    """The numbers of all nodes that SuperLink lets in; raises FedmetsError."""
    found = cli.call("supernode", "list", CONNECTION)["nodes"]
    return {int(node["node-id"]) for node in found if node["status"] != "unregistered"}


def read_nodes(flower: FlowerFolder) -> list[Node]:
    """What SuperLink was told; nothing when the file is missing or damaged, since it can be made anew."""
    try:
        return list(Nodes.from_json(flower.nodes.read_bytes()).nodes)
    except (OSError, ValidationError):
        return []


def _register(flower: FlowerFolder, cli: FlowerCli, site: str, key: str) -> int:
    file = flower.path / "registering.pub"
    write_durably(file, f"{key}\n".encode())
    arguments = ("supernode", "register", str(file), CONNECTION, "--name", site)
    try:
        return int(cli.call(*arguments)["node-id"])
    except FedmetsError as error:
        if _KEY_TAKEN not in str(error):
            raise
    _forget_unregistered_keys(flower)
    return int(cli.call(*arguments)["node-id"])


def _unregister(cli: FlowerCli, node_id: int) -> None:
    cli.call("supernode", "unregister", str(node_id), CONNECTION)


def _forget_unregistered_keys(flower: FlowerFolder) -> None:
    """Let SuperLink take a key again that it let go of: that of a site that was suspended and is reinstated.

    Flower 1.41 keeps an unregistered node's row, whose key stays taken for good, and has no call to remove it. So
    the key is taken out of such rows in its database, which it opens anew for every question.
    """
    try:
        with closing(sqlite3.connect(flower.database, timeout=_DATABASE_TIMEOUT_S)) as database, database:
            database.execute("UPDATE node SET public_key = NULL WHERE status = 'unregistered'")
    except sqlite3.Error as error:
        raise StorageError(f"{flower.database}: cannot free a site's former key: {error}") from None


def _write(flower: FlowerFolder, known: Iterable[Node]) -> None:
    write_durably(flower.nodes, f"{Nodes(nodes=tuple(known)).to_json()}\n".encode())
