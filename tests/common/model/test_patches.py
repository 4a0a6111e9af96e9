import re

import pytest
import torch

from common.errors import ConfigError
from common.model.build import build_model
from common.model.patches import check_patch_size, smallest_patch
from common.model_spec import NetworkName
from common.plan import ModelSpec
from tests.common.model.small_networks import EDGE, NAMES, SMALL

REFUSED: list[tuple[ModelSpec, tuple[int, int, int], str]] = [
    (ModelSpec(), (64, 64, 16), "6 levels of unet need multiples of 32; instead of 16 take 32, or fewer channels"),
    (ModelSpec(), (32, 32, 32), "one voxel at the bottom of 6 levels of unet"),
    (ModelSpec(name="unet_resenc"), (64, 80, 64), "instead of 80 take 64 or 96, or fewer channels"),
    (ModelSpec(name="unet_small", channels=(4, 8, 16)), (40, 42, 40), "instead of 42 take 40 or 44"),
    (ModelSpec(name="attention_unet"), (64, 64, 72), "5 levels of attention_unet need multiples of 16"),
    (ModelSpec(name="resnet34_unet"), (64, 64, 48), "halvings of resnet34_unet need multiples of 32"),
    (ModelSpec(name="resnet34_unet"), (32, 32, 32), "take 64 along one axis at least"),
    (ModelSpec(name="vnet"), (64, 64, 40), "5 levels of vnet need multiples of 16; instead of 40 take 32 or 48$"),
    (ModelSpec(name="segresnet"), (64, 64, 44), "4 levels of segresnet need multiples of 8"),
    (ModelSpec(name="fcn"), (64, 64, 24), "5 levels of fcn need multiples of 16"),
    (ModelSpec(name="deepmedic"), (3, 2, 3), "one voxel at the bottom of the coarse pathway of deepmedic"),
    (ModelSpec(name="cnn"), (1, 1, 1), "one voxel"),
    (
        ModelSpec(strides=((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))),
        (20, 64, 64),
        "6 levels of unet need multiples of 8 along axis x; instead of 20 take 16 or 24",
    ),
]


@pytest.mark.parametrize(("spec", "patch", "words"), REFUSED)
def test_a_patch_that_does_not_fit_is_refused_with_what_fits(
    spec: ModelSpec, patch: tuple[int, int, int], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        check_patch_size(spec, patch)
    assert str(refusal.value).startswith(f"patch_size {list(patch)}")


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_patch_is_taken_and_answered(name: NetworkName) -> None:
    check_patch_size(SMALL[name], (EDGE[name],) * 3)
    patch = smallest_patch(SMALL[name])
    check_patch_size(SMALL[name], patch)
    assert build_model(SMALL[name], 1, 2, seed=0)(torch.zeros(1, 1, *patch)).shape == (1, 2, *patch)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "segresnet"])
def test_what_is_refused_for_one_voxel_at_the_bottom_cannot_be_trained(name: NetworkName) -> None:
    step = 3 if name == "deepmedic" else 1 if name == "cnn" else smallest_patch(SMALL[name])[0]
    with pytest.raises(ConfigError, match="one voxel"):
        check_patch_size(SMALL[name], (step, step, step))
    with pytest.raises(ValueError, match=re.escape("more than 1 spatial element")):
        build_model(SMALL[name], 1, 2, seed=0)(torch.zeros(1, 1, step, step, step))


def test_published_patches_fit() -> None:
    planned = ModelSpec(strides=((1, 1, 1), *((2, 2, 2),) * 4, (1, 2, 2)))
    check_patch_size(planned, (80, 192, 160))  # nnU-Net's plan for UCSF-BMSR, slices first
    with pytest.raises(ConfigError, match="instead of 80 take 64 or 96"):
        check_patch_size(ModelSpec(), (80, 192, 160))
    for name in NAMES:
        check_patch_size(ModelSpec(name=name), (128, 128, 128))
    assert smallest_patch(planned) == (16, 32, 64)
