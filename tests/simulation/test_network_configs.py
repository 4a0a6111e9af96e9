"""Every network for one training step through an experiment file."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from client.round import train_round
from client.site import Site
from common.errors import ConfigError
from common.model.build import build_model
from common.model.patches import smallest_patch
from common.model.weights import weights_of
from common.model_spec import NetworkName
from common.protocol import TrainTask
from simulation.config import load_experiment
from tests.client.prepared import ball_case
from tests.common.model.small_networks import NAMES, SMALL
from tests.end_to_end.tiny import SITES, phantom_config

NETWORK = 'name = "unet_small"\nchannels = [4, 8]'
PATCH = "patch_size = [16, 16, 16]"
PLANNED = """name = "unet_resenc"
channels = [4, 8, 8, 8]
deep_supervision = true
kernel_sizes = [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
strides = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2]]"""


def _stated(name: NetworkName) -> str:
    dropout = "\ndropout = 0.25" if name not in ("unet", "unet_small", "unet_resenc") else ""
    return f'name = "{name}"\nchannels = {list(SMALL[name].widths)}{dropout}'


def _patch(name: NetworkName) -> str:
    return f"patch_size = {[max(16, edge) for edge in smallest_patch(SMALL[name])]}"


@pytest.mark.parametrize(
    ("network", "patch"),
    [*((_stated(name), _patch(name)) for name in NAMES), (PLANNED, "patch_size = [4, 16, 16]")],
    ids=[*NAMES, "planned"],
)
def test_one_step_changes_the_weights_and_is_repeatable(tmp_path: Path, network: str, patch: str) -> None:
    config = phantom_config(tmp_path, (NETWORK, network), (PATCH, patch), ("steps = 2", "steps = 1"))
    plan = load_experiment(config).plan_for(SITES)
    weights = weights_of(build_model(plan.model, plan.in_channels, plan.out_channels, plan.seed))
    site = Site("north", plan, (ball_case(0),), (ball_case(1),), (), {}, torch.device("cpu"))
    task = TrainTask(plan.fingerprint(), 1, weights)
    update, again = train_round(task, site), train_round(task, site)
    assert update.report.steps == 1
    assert math.isfinite(update.report.loss)
    changed = [np.abs(tensor).max() > 0 for tensor in update.delta.tensors().values()]
    assert sum(changed) > len(changed) / 2  # a bias in front of a norm may stay
    assert update.delta.sha256() == again.delta.sha256()


def test_a_file_with_an_option_of_another_network_is_refused_before_anything_is_prepared(tmp_path: Path) -> None:
    config = phantom_config(tmp_path, (NETWORK, 'name = "vnet"\ndeep_supervision = true'))
    with pytest.raises(ConfigError, match="deep_supervision is an option of unet, unet_resenc, not of 'vnet'"):
        load_experiment(config)


def test_a_file_with_a_patch_that_its_network_cannot_take_is_refused(tmp_path: Path) -> None:
    config = phantom_config(tmp_path, (NETWORK, 'name = "resnet34_unet"'))
    with pytest.raises(ConfigError, match=r"tiny.toml: patch_size \[16, 16, 16\]: .* need multiples of 32"):
        load_experiment(config)
