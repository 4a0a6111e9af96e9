"""A site as the training code sees it: a name, a plan, and its prepared cases."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from client.data.case import PreparedCase
from client.data.quality import bad_share
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
    """

    name: str
    plan: Plan
    training_cases: tuple[PreparedCase, ...]
    validation_cases: tuple[PreparedCase, ...]
    test_cases: tuple[PreparedCase, ...]
    quarantined: Mapping[str, int]
    device: torch.device

    @property
    def bad_share(self) -> float:
        """Unusable cases over all cases: 1 bad of 20 is 0.05; 0 for a site without cases."""
        usable = len(self.training_cases) + len(self.validation_cases) + len(self.test_cases)
        return bad_share(self.quarantined, usable)
