"""Whether packing the numbers costs accuracy: one experiment with each encoding, judged on the same patients."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.compression import Encoding
from common.metrics.intervals import BOOTSTRAP, Interval, bootstrap_intervals, paired_intervals
from common.metrics.scores import CaseScores
from simulation.config import Experiment
from simulation.progress import PlainProgress
from simulation.run import Options, run_experiment
from simulation.scoring import SCORES_FOLDER

EXACT: Encoding = "float32"


@dataclass(frozen=True, slots=True)
class EncodingScore:
    """One encoding's federated model.

    Attributes:
        dice: over the test patients.
        difference: its Dice minus that of float32, on the same draws of patients; None for float32 itself.
    """

    encoding: Encoding
    dice: Interval
    difference: Interval | None

    @property
    def within_noise(self) -> bool:
        """Whether the interval of the difference holds 0."""
        found = self.difference
        return found is None or (found.low is not None and found.high is not None and found.low <= 0 <= found.high)


def run(
    experiment: Experiment,
    config_text: str,
    folder: Path,
    encodings: Sequence[Encoding],
    say: Callable[[str], None],
) -> tuple[EncodingScore, ...]:
    """Train the federated arm with each encoding in both directions, and compare; float32 is always run.

    Args:
        experiment: whose own encodings are replaced.
        config_text: for the report of each run.
        folder: one run each in FOLDER/ENCODING; what an earlier call finished is not computed again.
        encodings: which.
        say: told of each.

    Raises:
        UserError, StorageError: as `fedmets-sim run`.
    """
    scores: dict[Encoding, tuple[CaseScores, ...]] = {}
    for encoding in (EXACT, *(one for one in encodings if one != EXACT)):
        say(f"{experiment.name} with {encoding} ...")
        packed = experiment.federation.model_copy(update={"up": encoding, "down": encoding})
        own, options = experiment.model_copy(update={"federation": packed}), Options(("federated",), config_text)
        run_experiment(own, folder / encoding, options, PlainProgress(io.StringIO()))
        scores[encoding] = _read_scores(folder / encoding)
    return compare(scores, experiment.seed)


def compare(scores: dict[Encoding, tuple[CaseScores, ...]], seed: int) -> tuple[EncodingScore, ...]:
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


def render(scores: Sequence[EncodingScore]) -> str:
    """A table for the terminal."""
    lines = [f"Dice of the federated model, {scores[0].dice.units} test patients; {BOOTSTRAP}"]
    for one in scores:
        line = f"{one.encoding:<8} {_words(one.dice)}"
        if one.difference is not None:
            word = "within noise" if one.within_noise else "NOT within noise"
            line += f"   minus float32 {_words(one.difference, '+')}: {word}"
        lines.append(line)
    return "\n".join(lines)


def to_json(scores: Sequence[EncodingScore]) -> str:
    """The same for programs."""
    rows = [
        {
            "encoding": one.encoding,
            "dice": one.dice.to_dict(),
            "minus_float32": None if one.difference is None else one.difference.to_dict(),
            "within_noise": one.within_noise,
        }
        for one in scores
    ]
    return json.dumps({"schema": 1, "encodings": rows})


def _read_scores(folder: Path) -> tuple[CaseScores, ...]:
    rows = json.loads((folder / SCORES_FOLDER / "federated.json").read_bytes())["cases"]
    return tuple(CaseScores.from_dict(row) for row in rows)


def _words(interval: Interval, sign: str = "") -> str:
    ends = (interval.estimate, interval.low, interval.high)
    estimate, low, high = ("-" if end is None else format(end, f"{sign}.4f") for end in ends)
    return f"{estimate} ({low} to {high})"
