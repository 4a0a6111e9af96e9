"""`fedmets-site segment` with a folder whose plan names one network and whose weights are another's."""

from pathlib import Path

import pytest

from client.cli import app
from common.cli import run_app
from common.model.build import build_model
from common.model.weights import weights_of
from common.model_spec import NetworkName
from common.release import write_release
from tests.client.segmentation_case import PLAN, scan
from tests.common.model.small_networks import SMALL


@pytest.mark.parametrize(
    ("planned", "stored", "difference"),
    [
        ("unet", "unet_resenc", "expected tensor 'input_block.conv1.conv.weight', got 'stem.conv.weight'"),
        ("unet_resenc", "unet", "expected tensor 'stem.conv.weight', got 'input_block.conv1.conv.weight'"),
        ("attention_unet", "unet_small", "expected tensor 'model.0.conv.0.conv.weight', got 'model.0.conv.unit0"),
        ("deepmedic", "cnn", "expected tensor 'fine.0.conv.weight', got '0.conv.weight'"),
    ],
)
def test_it_says_where_they_first_differ_and_writes_nothing(
    planned: NetworkName,
    stored: NetworkName,
    difference: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = PLAN.model_copy(update={"model": SMALL[planned]})
    weights = weights_of(build_model(SMALL[stored], plan.in_channels, plan.out_channels, seed=0))
    write_release(tmp_path / "model", plan, weights, {}, round_id=1)
    images = [f"--image={name}={scan(tmp_path / f'{name}.nii.gz')}" for name in plan.sequences]
    out = tmp_path / "mask.nii.gz"
    code = run_app(app, "fedmets-site", ["segment", str(tmp_path / "model"), *images, f"--out={out}"])
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert f"weights do not fit the network: {difference}" in said
    assert not out.exists()
