"""Whether packing the numbers costs accuracy: one experiment with each encoding, judged on the same patients."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.compression import Encoding
from common.metrics.intervals import BOOTSTRAP, SEEDS, Interval, bootstrap_intervals, paired_intervals, t_interval
from common.metrics.scores import CaseScores
from simulation.config import Experiment
from simulation.progress import PlainProgress
from simulation.run import Options, run_experiment
from simulation.scoring import SCORES_FOLDER

EXACT: Encoding = "float32"


@dataclass(frozen=True, slots=True)
class EncodingScore:
    """One encoding's federated model, for one seed.

    Attributes:
        dice: over the test patients.
        difference: its Dice minus that of float32, on the same draws of patients; None for float32 itself.
    """

    encoding: Encoding
    dice: Interval
    difference: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it.

    Two trainings that differ in one last bit end in different models, so that one pair of runs tells nothing of
    the encoding: its interval over patients is of those two models. What counts is the interval over seeds.

    Attributes:
        by_seed: each seed's scores, float32 first.
        over_seeds: the mean difference to float32 and its interval, by encoding.
    """

    by_seed: Mapping[int, tuple[EncodingScore, ...]]
    over_seeds: Mapping[Encoding, Interval]

    def is_within_noise(self, encoding: Encoding) -> bool:
        """Whether the interval over seeds holds 0; not without an interval."""
        found = self.over_seeds[encoding]
        return found.low is not None and found.high is not None and found.low <= 0.0 <= found.high


def run(
    experiments: Sequence[Experiment],
    config_text: str,
    folder: Path,
    encodings: Sequence[Encoding],
    say: Callable[[str], None],
) -> Comparison:
    """Train the federated arm with each encoding in both directions, and compare; float32 is always run.

    Args:
        experiments: the same one with different seeds; their own encodings are replaced.
        config_text: for the report of each run.
        folder: one run each in FOLDER/seed-N/ENCODING; what an earlier call finished is not computed again.
        encodings: which.
        say: told of each.

    Raises:
        UserError, StorageError: as `fedmets-sim run`.
    """
    by_seed = {}
    for experiment in experiments:
        scores: dict[Encoding, tuple[CaseScores, ...]] = {}
        for encoding in (EXACT, *(one for one in encodings if one != EXACT)):
            say(f"{experiment.name}, seed {experiment.seed}, with {encoding} ...")
            packed = experiment.federation.model_copy(update={"up": encoding, "down": encoding})
            own = experiment.model_copy(update={"federation": packed})
            place = folder / f"seed-{experiment.seed}" / encoding
            place.parent.mkdir(parents=True, exist_ok=True)
            run_experiment(own, place, Options(("federated",), config_text), PlainProgress(io.StringIO()))
            scores[encoding] = _read_scores(place)
        by_seed[experiment.seed] = compare(scores, experiment.seed)
    return over_seeds(by_seed)


def over_seeds(by_seed: Mapping[int, tuple[EncodingScore, ...]]) -> Comparison:
    """Add the intervals over seeds to each seed's scores: differences of -0.01, 0 and 0.01 are 0 +- 0.025."""
    differences: dict[Encoding, list[float]] = {}
    for score in (score for scores in by_seed.values() for score in scores):
        if score.difference is not None and score.difference.estimate is not None:
            differences.setdefault(score.encoding, []).append(score.difference.estimate)
    return Comparison(by_seed, {encoding: t_interval(values) for encoding, values in differences.items()})


def compare(scores: Mapping[Encoding, tuple[CaseScores, ...]], seed: int) -> tuple[EncodingScore, ...]:
    """Each encoding's Dice, and its difference to float32, with intervals over patients."""
    found = []
    for encoding, own in scores.items():
        dice = bootstrap_intervals([own], np.random.default_rng(seed))["dice"]
        difference = None
        if encoding != EXACT:
            rng = np.random.default_rng(seed)
            difference = paired_intervals([own], [scores[EXACT]], "difference", rng)["dice"]
        found.append(EncodingScore(encoding, dice, difference))
    return tuple(found)


def render(found: Comparison) -> str:
    """A table for the terminal."""
    units = next(iter(found.by_seed.values()))[0].dice.units
    lines = [f"Dice of the federated model, {units} test patients of the first seed; {BOOTSTRAP}"]
    for seed, scores in found.by_seed.items():
        for one in scores:
            minus = f"   minus float32 {_words(one.difference, '+')}" if one.difference else ""
            lines.append(f"seed {seed}  {one.encoding:<8} {_words(one.dice)}{minus}")
    lines.append(f"mean difference to float32 over {len(found.by_seed)} seeds; {SEEDS}")
    for encoding, interval in found.over_seeds.items():
        word = "within noise" if found.is_within_noise(encoding) else "NOT within noise"
        lines.append(f"{encoding:<8} {_words(interval, '+')}: {word}")
    return "\n".join(lines)


def to_json(found: Comparison) -> str:
    """The same for programs."""
    seeds = {
        str(seed): [
            {
                "encoding": one.encoding,
                "dice": one.dice.to_dict(),
                "minus_float32": None if one.difference is None else one.difference.to_dict(),
            }
            for one in scores
        ]
        for seed, scores in found.by_seed.items()
    }
    means = {
        encoding: {"minus_float32": interval.to_dict(), "within_noise": found.is_within_noise(encoding)}
        for encoding, interval in found.over_seeds.items()
    }
    return json.dumps({"schema": 1, "seeds": seeds, "over_seeds": means})


def _read_scores(folder: Path) -> tuple[CaseScores, ...]:
    rows = json.loads((folder / SCORES_FOLDER / "federated.json").read_bytes())["cases"]
    return tuple(CaseScores.from_dict(row) for row in rows)


def _words(interval: Interval, sign: str = "") -> str:
    ends = (interval.estimate, interval.low, interval.high)
    estimate, low, high = ("-" if end is None else format(end, f"{sign}.4f") for end in ends)
    return f"{estimate} ({low} to {high})"
