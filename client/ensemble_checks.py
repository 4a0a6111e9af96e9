"""Which released models may be averaged, and which of the given images each of them reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from client.data.case import PreparedCase
from client.data.channels import channels_for
from client.data.geometry import resample
from client.ensemble import require_same_labels
from common.errors import ModelRefused
from common.plan import Plan
from common.release import Release

_HALF_A_VOXEL = 0.5
_UNSEEN_TO_TELL = 0.01


def check_releases(releases: Sequence[Release], images: Mapping[str, Path], disagreement: Path | None) -> None:
    """Refuse, before any work, models that cannot be one ensemble.

    Raises:
        ModelRefused: other labels, the same model twice, an image that no model reads, or a map of disagreement
            asked of one model.
    """
    if disagreement is not None and len(releases) == 1:
        raise ModelRefused(
            f"{disagreement}: one model disagrees with nobody; add --also MODEL_DIR, or leave it out"
        )
    if len(releases) > 1:
        require_same_labels([(_called(release), release.plan) for release in releases])
        _refuse_twice(releases)
        _refuse_unread(releases, images)


def read_by(release: Release, images: Mapping[str, Path]) -> Mapping[str, Path]:
    """The images that a model of an ensemble reads; whatever the ensemble's others read is left out."""
    read = channels_for(images.keys(), release.plan).read
    return {name: path for name, path in images.items() if name in read}


def prepared_alike(one: Plan, other: Plan) -> bool:
    """Whether two plans make the same arrays of an exam, so that it need not be prepared, or stripped, twice."""
    ours, theirs = ((plan.sequences, plan.optional_sequences, plan.preprocessing) for plan in (one, other))
    return ours == theirs


def unseen_share(first: PreparedCase, other: PreparedCase) -> float:
    """Share of the first model's brain that lies beyond another one's first image, where that one says 0."""
    reached = resample(np.ones(other.native.shape, np.uint8), other.native, first.grid)
    return float(np.mean(reached[first.mask > 0] < _HALF_A_VOXEL))


def unseen_in_words(number: int, plan: Plan, share: float) -> str:
    """What an answer says of a model that does not see all of the brain; empty below one per cent of it."""
    if share < _UNSEEN_TO_TELL:
        return ""
    return (
        f"model {number} does not see {share:.0%} of the brain, where {plan.sequences[0]} ends, and says 0 there: "
        "the mean is lower, lesions may be missed; leave the model out, or give an image of the whole brain"
    )


def _refuse_twice(releases: Sequence[Release]) -> None:
    seen: set[str] = set()
    for release in releases:
        if release.sha256 in seen:
            raise ModelRefused(f"{_called(release)} is given twice and would count twice; leave one out")
        seen.add(release.sha256)


def _refuse_unread(releases: Sequence[Release], images: Mapping[str, Path]) -> None:
    read = {name for release in releases for name in read_by(release, images)}
    for name, path in images.items():
        if name not in read:
            wanted = dict.fromkeys(name for release in releases for name in release.plan.sequences)
            raise ModelRefused(
                f"sequence '{name}' ({path}) is one too many: these models read {', '.join(wanted)}; leave it out"
            )


def _called(release: Release) -> str:
    return f"model {release.plan.name} ({release.sha256[:12]})"
