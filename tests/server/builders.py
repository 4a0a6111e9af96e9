"""Small plans, weights, updates and a link without sites, for the tests of the round."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.plan import FederationSpec, ModelSpec, Plan, TrainingSpec
from common.protocol import CaseSums, LesionCounts, SiteReply, SiteUpdate, TrainReport, TrainTask
from common.weights import Weights
from server.federation import Federation, open_federation

SITES = ("north", "south", "east", "west")
SUMS = CaseSums(
    patients=6,
    cases=7,
    dice=4.5,
    dice_squared=3.5,
    false_positives=3.0,
    false_positives_squared=2.5,
    lesions=LesionCounts(20, 12),
    by_volume={"under_27": LesionCounts(11, 4)},
)
Behaviour = Callable[[str, TrainTask], SiteReply | None]


def make_plan(**federation: Any) -> Plan:
    """Four sites, three rounds, a network of 200-odd weights."""
    return Plan(
        name="tiny",
        seed=7,
        sites=SITES,
        sequences=("t1c",),
        model=ModelSpec(name="unet_small", channels=(2, 2)),
        training=TrainingSpec(steps=5),
        federation=FederationSpec(**{"rounds": 3, **federation}),
    )


def make_weights(values: Sequence[float] = (1.0, 2.0, 2.0)) -> Weights:
    return Weights((("w", (len(values),)),), np.array(values, np.float32))


def make_task(plan: Plan, round_id: int = 1, weights: Weights | None = None) -> TrainTask:
    return TrainTask(plan.fingerprint(), round_id, weights or make_weights())


def make_report(cases: int = 10, steps: int = 5, seconds: float = 1.0) -> TrainReport:
    return TrainReport(cases, steps, 0.5, seconds, 0.75 * seconds, 0.0, SUMS)


def make_update(site: str, task: TrainTask, scale: float = 0.01, report: TrainReport | None = None) -> SiteUpdate:
    """An update whose values follow from the site and the round."""
    rng = np.random.default_rng([*site.encode(), task.round_id])
    values = rng.standard_normal(task.weights.vector.size, dtype=np.float32) * np.float32(scale)
    report = report or make_report(cases=5 + len(site) * task.round_id)
    return SiteUpdate(site, task.plan_id, task.round_id, task.weights.with_vector(values), report)


def with_values(update: SiteUpdate, value: float) -> SiteUpdate:
    """The same update with its first value replaced."""
    vector = update.delta.vector.copy()
    vector[0] = value
    return replace(update, delta=update.delta.with_vector(vector))


@dataclass
class FakeLink:
    """Replies at once, in the given order; a site behaves as told, None being silence."""

    order: tuple[str, ...] = SITES
    behaviour: Mapping[str, Behaviour] = field(default_factory=dict)
    tasks: list[TrainTask] = field(default_factory=list)

    def online(self) -> tuple[str, ...]:
        return self.order

    def train(self, sites: Sequence[str], task: TrainTask, deadline_s: float) -> Iterator[SiteReply]:
        self.tasks.append(task)
        for site in self.order:
            reply = self.behaviour.get(site, make_update)(site, task)
            if site in sites and reply is not None:
                yield reply


def open_run(plan: Plan, folder: Path, said: list[str] | None = None) -> Federation:
    """A federation whose clocks stand still."""
    lines = [] if said is None else said
    return open_federation(plan, folder, clock=lambda: 0.0, wall_clock=lambda: 0.0, say=lines.append)
