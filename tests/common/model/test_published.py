"""Parameters at the published widths, counted again layer by layer, or by the library's own network."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from monai.networks.nets import SegResNet, VNet

from common.model.build import build_model, parameter_count
from common.model_spec import NetworkName
from common.plan import ModelSpec

IN, OUT = 4, 4


def count(name: NetworkName, in_channels: int = IN) -> int:
    return count_of(ModelSpec(name=name), in_channels)


def count_of(spec: ModelSpec, in_channels: int = IN) -> int:
    with torch.device("meta"):
        return parameter_count(build_model(spec, in_channels, OUT, seed=0))


def conv(before: int, width: int, kernel: int = 3, bias: bool = True, norm: bool = True) -> int:
    """Weights, biases, and a norm's scale and shift."""
    return before * width * kernel**3 + (width if bias else 0) + (2 * width if norm else 0)


def chain(widths: Sequence[int]) -> int:
    return sum(conv(before, width) for before, width in pairwise(widths))


def test_unet_has_as_many_as_nnunet_plans() -> None:
    assert count("unet") == 31_192_068
    flat = ((1, 1, 1), *((2, 2, 2),) * 4, (1, 2, 2))
    assert count_of(ModelSpec(strides=flat)) == 31_192_068 - 320 * 320 * 4  # a 1 x 2 x 2 transposed kernel


def test_residual_encoder() -> None:
    widths, blocks = (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6)
    encoder, before = conv(IN, 32), 32
    for width, number in zip(widths, blocks, strict=True):
        encoder += conv(before, width) + (2 * number - 1) * conv(width, width)
        encoder += conv(before, width, 1, bias=False) if before != width else 0
        before = width
    decoder = sum(conv(deep, width, 2, norm=False) + conv(2 * width, width) for width, deep in pairwise(widths))
    assert count("unet_resenc") == encoder + decoder + 32 * OUT + OUT
    assert round(count("unet_resenc", in_channels=1), -6) == 102_000_000  # as said of the published "L" plan


def test_resnet34() -> None:
    widths, blocks = (64, 128, 256, 512), (3, 4, 6, 3)
    encoder, before = conv(1, 64, 7, bias=False), 64
    for width, number in zip(widths, blocks, strict=True):
        encoder += conv(before, width, bias=False) + (2 * number - 1) * conv(width, width, bias=False)
        encoder += conv(before, width, 1, bias=False) if before != width else 0
        before = width
    skips = (256, 128, 64, 64, 0)
    decoder, before = 0, 512
    for skip, width in zip(skips, (256, 128, 64, 32, 16), strict=True):
        decoder += conv(before + skip, width, bias=False) + conv(width, width, bias=False)
        before = width
    assert count("resnet34_unet", in_channels=1) == encoder + decoder + conv(16, OUT, norm=False)


def test_monais_networks_are_as_large_as_monai_makes_them() -> None:
    with torch.device("meta"):
        vnet = parameter_count(VNet(in_channels=4, out_channels=OUT, act="prelu"))
        segresnet = parameter_count(SegResNet(init_filters=32, in_channels=IN, out_channels=OUT))
    assert count("vnet") == vnet
    assert count("segresnet") == segresnet


def test_attention_unet() -> None:
    widths = (16, 32, 64, 128, 256)
    encoder = sum(conv(b, w) + conv(w, w) for b, w in zip((IN, *widths), widths, strict=False))
    decoder = 0
    for width, deep in pairwise(widths):
        gate = 2 * conv(width, width // 2, 1) + conv(width // 2, 1, 1)
        slope = 1  # of MONAI's activation behind the joining convolution, which has a norm without scale
        decoder += conv(deep, width) + gate + conv(2 * width, width, norm=False) + slope
    assert count("attention_unet") == encoder + decoder + 16 * OUT + OUT


def test_deepmedic() -> None:
    widths = (30, 30, 40, 40, 40, 40, 50, 50)
    slopes = sum(widths)
    pathway = chain((IN, *widths)) + slopes
    joined = conv(100, 150, 1) + conv(150, 150, 1) + 2 * 150
    assert count("deepmedic") == 2 * pathway + joined + 150 * OUT + OUT


def test_the_plain_baselines() -> None:
    assert count("cnn") == chain((IN, 32, 64, 64, 32)) + 32 * OUT + OUT
    widths = (32, 64, 128, 256, 512)
    stages = sum(conv(b, w) + conv(w, w) for b, w in zip((IN, *widths), widths, strict=False))
    assert count("fcn") == stages + sum(width * OUT + OUT for width in widths[-3:])


@pytest.mark.parametrize("name", ["vnet", "segresnet"])
def test_five_sequences_are_taken_too(name: NetworkName) -> None:
    assert count(name, in_channels=5) > count(name, in_channels=4)
