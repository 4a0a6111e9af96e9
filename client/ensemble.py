"""Several models as one: their mean probability, and a map of where they disagree.

Models are averaged on the images' own grid, so they may differ in network, spacing, patch and sequences. They must
segment the same classes.

Source: the mean of members' probabilities, and their spread as a measure of doubt, are the deep ensemble of
Lakshminarayanan et al. 2017, arXiv:1612.01474.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from client.data.case import Grid, PreparedCase
from client.prediction import finished_mask, native_probabilities
from common.errors import ModelRefused
from common.plan import Plan

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Member:
    """One model of an ensemble, and the exam as this model's plan prepares it."""

    model: torch.nn.Module
    plan: Plan
    case: PreparedCase


@dataclass(frozen=True, slots=True)
class Consensus:
    """What several models say of one exam.

    Attributes:
        probabilities: (K, X, Y, Z) mean over the models, by foreground class.
        disagreement: (X, Y, Z) standard deviation over the models of the probability of any foreground; 0 where
            all say the same, 0.5 at most, where half of them say 0 and half say 1.
        masks: (X, Y, Z) class indices, each model's own finished mask, where they were asked for.
    """

    probabilities: Floats
    disagreement: Floats
    masks: tuple[npt.NDArray[np.uint8], ...]


def predict_together(
    members: Iterable[Member], native: Grid, device: torch.device, *, own_masks: bool = False
) -> Consensus:
    """Ask one model after the other and average; `native` is the grid of all that comes back.

    A model predicts with its own plan's windows and mirroring; its own mask has its own plan's threshold and
    clean-up. Only sums are kept of the probabilities, so memory does not grow with the number of models.

    Raises:
        ValueError: there is no model.
    """
    masks = []

    def predictions() -> Iterable[Floats]:
        for member in members:
            own = native_probabilities(member.model, member.case, member.plan, device, native)
            if own_masks:
                masks.append(finished_mask(own, member.case, member.plan, native).mask)
            yield own

    probabilities, disagreement = mean_and_disagreement(predictions())
    return Consensus(probabilities, disagreement, tuple(masks))


def mean_and_disagreement(predictions: Iterable[Floats]) -> tuple[Floats, Floats]:
    """Mean by class, and standard deviation (dividing by n) of the foreground's probability, over models.

    Of two models that say 0.2 and 0.8 the mean is 0.5 and the disagreement 0.3; of three that say 0, 0 and 1 they
    are 0.333 and 0.471. One model's mean is its own prediction to the bit, its disagreement 0.

    Args:
        predictions: (K, X, Y, Z) each, by foreground class; foreground is their sum.

    Returns:
        (K, X, Y, Z) and (X, Y, Z), float32; computed in float64 by Welford's update, which gives exactly 0 where
        all agree (Welford 1962).

    Raises:
        ValueError: no predictions.
    """
    count = 0
    mean = foreground = squares = np.zeros(0)
    for count, prediction in enumerate(predictions, start=1):
        own = prediction.astype(np.float64)
        shown = own.sum(axis=0)
        if count == 1:
            mean, foreground, squares = own, shown, np.zeros(shown.shape)
            continue
        mean += (own - mean) / count
        before = shown - foreground
        foreground += before / count
        squares += before * (shown - foreground)
    if count == 0:
        raise ValueError("an ensemble of no models predicts nothing: give one at least")
    return mean.astype(np.float32), np.sqrt(squares / count).astype(np.float32)


def require_same_labels(models: Sequence[tuple[str, Plan]]) -> None:
    """Refuse models that do not segment the same classes in the same order.

    Args:
        models: what a message calls each, and its plan.

    Raises:
        ModelRefused: names the first class that differs, and both models.
    """
    first_name, first = models[0]
    for name, plan in models[1:]:
        ours, theirs = first.labels, plan.labels
        for number in range(max(len(ours), len(theirs))):
            one, other = (labels[number] if number < len(labels) else None for labels in (ours, theirs))
            if one != other:
                raise ModelRefused(
                    f"class {number + 1} is {_named(one)} in {first_name} and {_named(other)} in {name}: only "
                    "models of the same labels can be averaged; leave one out"
                )


def _named(label: str | None) -> str:
    return "missing" if label is None else f"'{label}'"
