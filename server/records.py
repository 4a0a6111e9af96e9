"""What is kept of a round: one outcome per site, the round, and how a run ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import FailureCode, RefusalCode, TrustCode, UpdateCode
from common.plan import Plan
from common.protocol import IncomingScores
from common.schema import Frozen
from common.weights import Weights

OptimizerState: TypeAlias = Mapping[str, npt.NDArray[np.generic]]


class Outcome(StrEnum):
    """What became of a site's part in a round."""

    ACCEPTED = "accepted"
    LATE = "late"
    REFUSED = "refused"
    FAILED = "failed"
    INVALID = "invalid"
    OFFLINE = "offline"


class RunStatus(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"


EXIT_CODES: Mapping[str, int] = {"completed": 0, "partial": 3, "failed": 1}


class Participation(Frozen):
    """One site in one round. Everything below `bytes_up` is what an accepted site reported.

    Attributes:
        code: why it was refused, failed or found invalid; None otherwise.
        bytes_up: size of the update that arrived, packed as the plan says.
        cases, steps, loss: what the site trained on, how long, and its mean training loss; `cases` is None when
            they are of too few patients to be told.
        seconds: its whole task, of which `train_seconds` and `evaluate_seconds` are parts.
        incoming: validation sums of the model that it was sent, or "suppressed"; None when not due.
        quarantined: its unusable cases by reason; `more_quarantined` says that there are uncounted others.
    """

    site: str
    outcome: Outcome
    code: RefusalCode | FailureCode | UpdateCode | TrustCode | None = None
    bytes_up: int = 0
    cases: int | None = 0
    steps: int = 0
    loss: float | None = None
    seconds: float = 0.0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    incoming: IncomingScores = None
    quarantined: dict[str, int] = {}
    more_quarantined: bool = False


class RoundRecord(Frozen):
    """One round as it stands on disk and in the result; round 0 is the initial model.

    Every random draw follows from (seed, site, round), so the round is all the generator state there is.

    Attributes:
        advanced: quorum was met and the model moved; if not, `model_sha256` is the round before's.
        model_sha256: of the weights after the round.
        seconds: from selection to the commit, not counting the commit itself.
        aggregate_seconds: of those, checking and summing updates and the server's step.
        sites: one entry per site of the plan, in its order.
    """

    round: int
    plan_id: str
    seed: int
    advanced: bool
    model_sha256: str
    seconds: float = 0.0
    aggregate_seconds: float = 0.0
    sites: tuple[Participation, ...] = ()

    @property
    def accepted(self) -> int:
        """How many sites' updates are in the model."""
        return sum(site.outcome is Outcome.ACCEPTED for site in self.sites)


@dataclass(frozen=True, slots=True)
class RoundState:
    """All that the next round needs; what a commit holds.

    Attributes:
        weights: the model after the round.
        optimizer: the aggregator's own state by name; empty for FedAvg.
        record: the round that led here.
    """

    weights: Weights
    optimizer: OptimizerState
    record: RoundRecord

    @property
    def round_id(self) -> int:
        """Rounds behind this model; 0 for the initial one."""
        return self.record.round


def initial_state(plan: Plan, weights: Weights) -> RoundState:
    """The state before round 1."""
    record = RoundRecord(
        round=0, plan_id=plan.fingerprint(), seed=plan.seed, advanced=False, model_sha256=weights.sha256()
    )
    return RoundState(weights, {}, record)


def run_status(history: Sequence[RoundRecord], rounds: int) -> RunStatus:
    """Say how a run of so many planned rounds ended.

    completed: every round met its quorum with every site's work in it; failed: no round met its quorum;
    partial: all between. 20 rounds of 4 sites in which one update came late once are `partial`.
    """
    if not any(record.advanced for record in history):
        return RunStatus.FAILED
    whole = sum(record.advanced and record.accepted == len(record.sites) for record in history)
    return RunStatus.COMPLETED if whole == rounds else RunStatus.PARTIAL
