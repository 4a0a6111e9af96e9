"""Score a folder of predictions against a folder of references, matched by file name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.score_rule import Rule
from client.score_values import parts
from client.scoring import Region, ScoredPair, score_pair
from common.errors import DataError
from common.metrics.intervals import Interval, ratio_intervals

_SUFFIXES = (".nii.gz", ".nii")
_SEED = 20231


@dataclass(frozen=True, slots=True)
class ScoredFolders:
    """Every pair of two folders.

    Attributes:
        cases: scores by file name without .nii or .nii.gz, in order of name.
        failed: why a pair could not be scored, by name.
        only_predicted, only_reference: names without a counterpart.
    """

    cases: Mapping[str, ScoredPair]
    failed: Mapping[str, str]
    only_predicted: tuple[str, ...]
    only_reference: tuple[str, ...]


def score_folders(
    predictions: Path,
    references: Path,
    regions: Sequence[Region],
    mapping: Mapping[int, int],
    say: Callable[[str], None],
) -> ScoredFolders:
    """Score every name that both folders hold; a pair that cannot be scored does not stop the others.

    Args:
        predictions: folder of .nii and .nii.gz files, not searched any deeper; likewise `references`.
        references: the same names.
        regions: what to score.
        mapping: label to label, applied to every file first.
        say: told the name of each pair before its turn.

    Raises:
        DataError: a folder cannot be listed, holds a name twice, or shares no name with the other.
    """
    predicted, expected = _by_name(predictions), _by_name(references)
    both = sorted(predicted.keys() & expected.keys())
    if not both:
        raise DataError(
            f"{predictions} and {references}: no file name in common ({len(predicted)} and {len(expected)} NIfTI "
            "files); a prediction must be named as its reference is"
        )
    cases, failed = {}, {}
    for name in both:
        say(name)
        try:
            cases[name] = score_pair(predicted[name], expected[name], regions, mapping)
        except DataError as error:
            failed[name] = str(error)
    return ScoredFolders(
        cases=cases,
        failed=failed,
        only_predicted=tuple(sorted(predicted.keys() - expected.keys())),
        only_reference=tuple(sorted(expected.keys() - predicted.keys())),
    )


def summary_of(cases: Sequence[ScoredPair], region: str, rule: Rule) -> dict[str, Interval]:
    """Every measure over cases with its bootstrap interval; cases in which it is undefined are left out.

    A file name does not tell the patient, so that the case is resampled: with several exams of a patient the
    intervals are too narrow. The draws are the same at every call.
    """
    shares = [parts(case.regions[region], rule) for case in cases]
    names = list(shares[0]) if shares else []
    return ratio_intervals(
        {name: [share[name] for share in shares] for name in names}, np.random.default_rng(_SEED)
    )


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    try:
        files = sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIXES) and path.is_file())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); check the folder") from None
    for path in files:
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        if name in found:
            raise DataError(f"{folder}: has {found[name].name} and {path.name}; keep the one that is meant")
        found[name] = path
    return found
