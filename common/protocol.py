"""The wire contract: what the aggregator sends to a site and what a site sends back.

A reply is one of four typed records. A failure carries a code and never a text: the text of an exception may
hold a path or a patient's name.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from common.errors import FailureCode, RefusalCode, TrustCode, UpdateCode
from common.weights import Weights


@dataclass(frozen=True, slots=True)
class TrainTask:
    """Train for one round from these weights, under the plan with this fingerprint."""

    plan_id: str
    round_id: int
    weights: Weights


@dataclass(frozen=True, slots=True)
class CaseSums:
    """Sums over a site's cases from which means are formed; no row about a patient.

    Attributes:
        cases: number of cases judged.
        dice: sum of voxel Dice over cases.
        lesions: number of reference lesions in them.
        found: how many of those were found.
        false_positives: predicted components that meet no reference lesion.
    """

    cases: int = 0
    dice: float = 0.0
    lesions: int = 0
    found: int = 0
    false_positives: int = 0


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a site tells of its round.

    Attributes:
        cases: training cases; patients are never counted across the wire.
        steps: optimiser steps made.
        loss: mean training loss over the round's steps.
        incoming: scores of the model that came with the task, on validation cases; None when not due.
        seconds: whole task; `train_seconds` and `evaluate_seconds` are parts of it.
        quarantined: number of unusable cases by reason.
    """

    cases: int
    steps: int
    loss: float
    seconds: float
    train_seconds: float
    evaluate_seconds: float
    incoming: CaseSums | None = None
    quarantined: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteUpdate:
    """A site's work: the difference between its weights and the task's."""

    site: str
    plan_id: str
    round_id: int
    delta: Weights
    report: TrainReport


@dataclass(frozen=True, slots=True)
class SiteRefused:
    """The site declined the task."""

    site: str
    round_id: int
    code: RefusalCode | TrustCode


@dataclass(frozen=True, slots=True)
class SiteFailed:
    """The site's work was lost."""

    site: str
    round_id: int
    code: FailureCode


@dataclass(frozen=True, slots=True)
class SiteUntrusted:
    """Something came from the site's node that is not believed to be its answer; made by the server's own link.

    Attributes:
        detail: in words, for the server's audit log.
    """

    site: str
    round_id: int
    code: UpdateCode | TrustCode
    detail: str
    bytes_up: int


SiteAnswer: TypeAlias = SiteUpdate | SiteRefused | SiteFailed
SiteReply: TypeAlias = SiteAnswer | SiteUntrusted
