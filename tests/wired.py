"""A federation whose sites sit at desks behind a grid in memory: real keys, real signatures, no processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from flwr.app import Error, Message, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.supercore.task_identity import TaskIdentity

from client.approvals import decide, receive_plan
from client.desk import Desk
from client.server_trust import open_site
from client.site_folder import SiteFolder
from common.flower import from_record, to_record
from common.plan import Plan
from common.protocol import SiteAnswer, TrainTask
from common.wire import Envelope
from server.flower_link import FlowerLink
from server.plans import KeptPlan, sign_plan
from tests.server.builders import make_plan, make_update
from tests.trust import DAY_0, Lab, make_lab

BUNDLE = "b" * 64
Meddle = Callable[[str, RecordDict], RecordDict | None]


@dataclass
class HandTrainer:
    """Answers as told, and counts."""

    site: str
    reply: Callable[[str, TrainTask], SiteAnswer] = make_update
    tasks: list[TrainTask] = field(default_factory=list)

    def train(self, task: TrainTask, plan: Plan, deadline_s: float) -> SiteAnswer:
        self.tasks.append(task)
        return self.reply(self.site, task)


@dataclass
class DeskGrid:
    """Carries messages to desks and back; whoever meddles may change an answer, or lose it (None)."""

    desks: Mapping[int, Desk]
    names: Mapping[int, str]
    meddle: Meddle = lambda site, record: record
    bundle: str = BUNDLE
    sent: list[RecordDict] = field(default_factory=list)
    _answers: dict[str, RecordDict | None] = field(default_factory=dict)

    def push_messages(self, messages: Iterable[Message]) -> Iterator[str]:
        for message in messages:
            self.sent.append(message.content)
            node, key = message.metadata.dst_node_id, f"m{len(self.sent)}"
            answer = self.desks[node].answer(from_record(message.content), self.bundle)
            self._answers[key] = self.meddle(self.names[node], to_record(answer))
            yield key

    def pull_messages(self, message_ids: Iterable[str]) -> Iterator[Message]:
        for key in message_ids:
            answer = self._answers.pop(key, None)
            metadata = Metadata(0, "", 0, 0, key, "", 0.0, 60.0, "train")
            lost = Error(code=3, reason="the node is gone")
            missing = answer is None
            yield make_message(metadata, error=lost) if missing else make_message(metadata, content=answer)


@dataclass(frozen=True)
class Wired:
    """All of it."""

    lab: Lab
    kept: KeptPlan
    trainers: Mapping[str, HandTrainer]
    grid: DeskGrid

    @property
    def plan(self) -> Plan:
        return self.kept.plan

    def site(self, name: str) -> SiteFolder:
        return self.lab.site(name)

    def link(self, now: Callable[[], datetime] = lambda: DAY_0) -> FlowerLink:
        nodes = {name: node for node, name in self.grid.names.items()}
        server = self.lab.server
        return FlowerLink(self.grid, self.plan, lambda: nodes, server, lambda: server.identity(None), now)

    def desk(self, site: str) -> Desk:
        return next(self.grid.desks[node] for node, name in self.grid.names.items() if name == site)


def propose(folder: SiteFolder, proposal: Envelope, approve: bool = True, now: datetime = DAY_0) -> None:
    """As the plan's message and a person's decision do."""
    received = receive_plan(folder, open_site(folder), proposal, now)
    if approve:
        decide(folder, received, "approved", now)


def wire(root: Path, plan: Plan | None = None, approve: bool = True) -> Wired:
    """A federation of the plan's sites, which have approved it."""
    plan = plan or make_plan()
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1  # as Flower's processes set them
    lab = make_lab(root)
    for site in plan.sites:
        lab.add(site)
    kept = sign_plan(lab.server, plan, BUNDLE, lab.server.identity(None), DAY_0)
    trainers = {site: HandTrainer(site) for site in plan.sites}
    desks, names = {}, {}
    for node, site in enumerate(plan.sites, start=1):
        propose(lab.site(site), kept.envelope, approve)
        desks[node] = Desk(lab.site(site), trainers[site], lambda: DAY_0)
        names[node] = site
    return Wired(lab, kept, trainers, DeskGrid(desks, names))
