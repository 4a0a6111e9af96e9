"""A site as the training code sees it: a name, a plan, and its prepared cases."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from client.data.case import PreparedCase
from client.data.quality import bad_share
from common.model.build import new_network
from common.plan import Plan


@dataclass(frozen=True, slots=True)
class Site:
    """One hospital, ready to work.

    Attributes:
        name: as in the plan.
        plan: the plan that this site agreed to.
        training_cases, validation_cases, test_cases: prepared, split by patient.
        quarantined: number of unusable cases by reason.
        device: where the network runs.
        state: folder for what the site remembers from round to round; None when it has no such place, and then
            a plan whose updates lose precision on the way is refused.
        network: gives the plan's network, anew or kept from the round before; its weights do not count.
        lacking: cases put aside for a required sequence, by sequence.
    """

    name: str
    plan: Plan
    training_cases: tuple[PreparedCase, ...]
    validation_cases: tuple[PreparedCase, ...]
    test_cases: tuple[PreparedCase, ...]
    quarantined: Mapping[str, int]
    device: torch.device
    state: Path | None = None
    network: Callable[[Plan], torch.nn.Module] = new_network
    lacking: Mapping[str, int] = field(default_factory=dict)

    @property
    def bad_share(self) -> float:
        """Unusable cases over all cases: 1 bad of 20 is 0.05; 0 for a site without cases."""
        usable = len(self.training_cases) + len(self.validation_cases) + len(self.test_cases)
        return bad_share(self.quarantined, usable)
