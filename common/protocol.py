"""The wire contract: what the aggregator sends to a site and what a site sends back.

A reply is one of four typed records. A failure carries a code and never a text: the text of an exception may
hold a path or a patient's name.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from common.errors import FailureCode, RefusalCode, TrustCode, UpdateCode
from common.weights import Weights


@dataclass(frozen=True, slots=True)
class TrainTask:
    """Train for one round from these weights, under the plan with this fingerprint."""

    plan_id: str
    round_id: int
    weights: Weights


SUPPRESSED: Literal["suppressed"] = "suppressed"


@dataclass(frozen=True, slots=True)
class LesionCounts:
    """Reference lesions, and how many of them were found."""

    lesions: int
    found: int


@dataclass(frozen=True, slots=True)
class CaseSums:
    """Sums over a site's validation patients, from which pooled figures and their intervals are formed.

    A patient counts once: a score is first averaged over the patient's exams, then summed over patients.

    Attributes:
        patients: number of patients judged; never below the plan's `evaluation.smallest_cell`.
        cases: number of their exams.
        dice, dice_squared: sums over patients of their mean Dice, and of its square.
        false_positives, false_positives_squared: sums over patients of their mean number of false positives a
            scan (predicted components that meet no reference lesion), and of its square.
        lesions: of all volumes; None when fewer patients than `smallest_cell` have any.
        by_volume: by class of metrics.scores.VOLUME_BANDS; a class that must stay hidden is not in it.
    """

    patients: int
    cases: int
    dice: float
    dice_squared: float
    false_positives: float
    false_positives_squared: float
    lesions: LesionCounts | None = None
    by_volume: dict[str, LesionCounts] = field(default_factory=dict)


IncomingScores: TypeAlias = CaseSums | Literal["suppressed"] | None


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a site tells of its round.

    Attributes:
        cases: training cases. Under `weighting = "cases"` they are the update's weight, and exact however few;
            under any other None when they are of fewer patients than `smallest_cell`.
        steps: optimiser steps made.
        loss: mean training loss over the round's steps.
        incoming: scores of the model that came with the task, on validation cases; "suppressed" when they are
            of fewer patients than the plan's `evaluation.smallest_cell`, None when not due or of nobody.
        seconds: whole task; `train_seconds` and `evaluate_seconds` are parts of it.
        quarantined: number of unusable cases by reason, for reasons with at least `smallest_cell` of them.
        more_quarantined: whether there are others, too few of a reason to be counted.
    """

    cases: int | None
    steps: int
    loss: float
    seconds: float
    train_seconds: float
    evaluate_seconds: float
    incoming: IncomingScores = None
    quarantined: dict[str, int] = field(default_factory=dict)
    more_quarantined: bool = False


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
