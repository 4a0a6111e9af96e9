"""What a loss compares a prediction with: the class of every voxel, and which classes a site cannot tell apart.

A site that drew the whole tumour as one value did not say which voxel is core and which is rim. Its label index
then stands for a set of the plan's classes, and the loss sees the probability of the set: the marginal loss of
Shi et al., Medical Image Analysis 2021, arXiv 2007.03868.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import torch

from common.label_meanings import Meanings
from common.model.losses.lesions import Lesions, number_lesions


class Loss(Protocol):
    """A loss, one value a sample: sample i's depends on sample i alone."""

    def __call__(
        self, logits: torch.Tensor, label: torch.Tensor, meanings: Sequence[Meanings] = ()
    ) -> torch.Tensor:
        """(B,) from logits (B, classes, X, Y, Z), or (B, levels, classes, X, Y, Z), and label (B, X, Y, Z).

        `meanings` holds one entry a sample, or none at all where every sample's indices are classes.
        """


@dataclass(frozen=True, slots=True)
class Target:
    """The label of a batch, as every term of a loss reads it.

    Attributes:
        classes: (B, X, Y, Z) int64 class of each voxel; the first class of its set where it stands for several.
        together: (B, C, C) bool, whether two classes are one to this sample's site; None: no two are, anywhere.
        scored: (B, C) float32, 1 for foreground classes that stand for themselves or for their set, else 0.
        lesions: components of tumour, where the loss asks for them.
    """

    classes: torch.Tensor
    together: torch.Tensor | None
    scored: torch.Tensor
    lesions: Lesions | None


def make_target(
    label: torch.Tensor, class_count: int, meanings: Sequence[Meanings], lesions_of: Set[int] | None = None
) -> Target:
    """Read a batch's label (B, X, Y, Z) int64, whose indices mean what `meanings` says, one entry a sample.

    Lesions are numbered where it is said which classes make them up: () for all of the foreground, None for no
    lesions. A site's sets of classes lie within these or outside, as its label rule sees to.

    Example: 4 classes and ((0, 2), (1,), (2,), (3,), (1, 3)): index 4 becomes class 1, classes 1 and 3 are one and
    so are 0 and 2, and class 1 alone is scored.
    """
    tumour = None if lesions_of is None else lesions_of or frozenset(range(1, class_count))
    if not any(meanings):
        scored = torch.ones(len(label), class_count, device=label.device)
        scored[:, 0] = 0.0
        return Target(label, None, scored, None if tumour is None else number_lesions(label, tumour))
    first = torch.tensor([_first_of_set(each, class_count) for each in meanings], device=label.device)
    classes = torch.stack([_read(one, each) for one, each in zip(label, meanings, strict=True)])
    own = first == torch.arange(class_count, device=label.device)
    return Target(
        classes=classes,
        together=first[:, :, None] == first[:, None, :],
        scored=(own & (first > 0)).float(),
        lesions=None if tumour is None else number_lesions(classes, tumour),
    )


def log_probabilities(logits: torch.Tensor, target: Target) -> torch.Tensor:
    """(B, C, X, Y, Z): channel c is the log-probability of the set that class c belongs to, mostly c alone."""
    log_p = torch.log_softmax(logits, dim=1)
    if target.together is None:
        return log_p
    apart = ~target.together[..., None, None, None]
    channels = [torch.logsumexp(log_p.masked_fill(apart[:, c], -torch.inf), dim=1) for c in range(logits.shape[1])]
    return torch.stack(channels, dim=1)


def _first_of_set(meanings: Meanings, class_count: int) -> list[int]:
    """For each class the first class of its set: [0, 1, 0, 1] in the example of `make_target`."""
    first = list(range(class_count))
    for classes in meanings:
        for each in classes:
            first[each] = min(first[each], classes[0])
    return first


def _read(label: torch.Tensor, meanings: Meanings) -> torch.Tensor:
    """Indices become the first class that they may be."""
    if not meanings:
        return label
    table = torch.tensor([classes[0] for classes in meanings], device=label.device)
    return table[label]
