"""With one plain gradient step a round, a federation is pooled training, so both must end in the same weights."""

from pathlib import Path

import numpy as np
import pytest

from common.plan import AugmentationSpec, FederationSpec, TrainingSpec
from common.weights import Vector, from_safetensors
from simulation.cli import ARMS
from simulation.config import Experiment, load_experiment
from simulation.progress import PlainProgress
from simulation.run import Options, run_experiment
from tests.end_to_end.tiny import data_config

ROUNDS = 5
UNCHANGED = AugmentationSpec(flip=0.0, rotate=0.0, scale=0.0, gamma=0.0, noise=0.0, brightness=0.0)


def one_plain_step(experiment: Experiment, weighting: str, learning_rate: float) -> Experiment:
    training = TrainingSpec(
        steps=1,
        patch_size=experiment.training.patch_size,
        optimizer="sgd",
        learning_rate=learning_rate,
        momentum=0.0,
        nesterov=False,
        weight_decay=0.0,
        schedule="constant",
        gradient_clip_norm=None,
        augmentation=UNCHANGED,
    )
    federation = FederationSpec.model_validate({"rounds": ROUNDS, "weighting": weighting})
    return experiment.model_copy(update={"training": training, "federation": federation})


def weights_after(store: Path, round_id: int) -> Vector:
    file = store / f"round-{round_id:04d}" / "model.safetensors"
    return from_safetensors(file.read_bytes(), file).vector


@pytest.mark.parametrize("weighting", ["equal", "cases"])
def test_federated_is_pooled(tmp_path: Path, cohort: Path, weighting: str) -> None:
    experiment = one_plain_step(load_experiment(data_config(tmp_path, cohort)), weighting, learning_rate=0.02)
    with (tmp_path / "told").open("w") as stream:
        run_experiment(experiment, tmp_path / "out", Options(ARMS, ""), PlainProgress(stream))
    federated = weights_after(tmp_path / "out" / "rounds", ROUNDS)
    pooled = weights_after(tmp_path / "out" / "baselines" / "pooled", ROUNDS)
    local = weights_after(tmp_path / "out" / "baselines" / "local-north", ROUNDS)
    assert np.abs(federated - pooled).max() < 1e-5  # 2e-7, unless rounding tips a rectifier
    assert np.abs(federated - local).max() > 1e-3
