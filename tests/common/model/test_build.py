import pytest
import torch
from monai.networks.nets import DynUNet

from common.errors import ConfigError
from common.model.build import build_model, parameter_count
from common.model.weights import weights_of
from common.plan import ModelSpec

SMALL = ModelSpec(name="unet_small", channels=(4, 8, 16))
TINY = ModelSpec(name="unet", channels=(4, 8, 8, 8), deep_supervision=True)


def test_default_unet_has_as_many_parameters_as_nnunet_plans_for_four_sequences_and_classes() -> None:
    assert parameter_count(build_model(ModelSpec(), 4, 4, seed=0)) == 31_192_068


def test_seed_alone_decides_the_weights_and_the_global_state_stays() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = weights_of(build_model(SMALL, 2, 2, seed=3)).sha256()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert weights_of(build_model(SMALL, 2, 2, seed=3)).sha256() == first
    assert weights_of(build_model(SMALL, 2, 2, seed=4)).sha256() != first


@pytest.mark.parametrize("spec", [SMALL, ModelSpec(name="unet", channels=(4, 8, 8))])
def test_logits_have_the_size_of_the_input(spec: ModelSpec) -> None:
    model = build_model(spec, 3, 2, seed=0)
    assert model(torch.zeros(1, 3, 16, 8, 12)).shape == (1, 2, 16, 8, 12)


def test_unet_is_bit_by_bit_what_nnunets_plan_says_to_monai() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        oracle = DynUNet(
            spatial_dims=3,
            in_channels=2,
            out_channels=3,
            kernel_size=[3, 3, 3, 3],
            strides=[1, 2, 2, 2],
            upsample_kernel_size=[2, 2, 2],
            filters=[4, 8, 8, 8],
            deep_supervision=True,
        )
    assert weights_of(build_model(TINY, 2, 3, seed=3)).sha256() == weights_of(oracle).sha256()


def test_deep_supervision_gives_levels_in_training_only() -> None:
    model = build_model(TINY, 2, 2, seed=0)
    image = torch.zeros(1, 2, 16, 16, 16)
    assert model(image).shape == (1, 2, 2, 16, 16, 16)
    assert model.eval()(image).shape == (1, 2, 16, 16, 16)


@pytest.mark.parametrize(("channels", "supervised"), [((8, 16), False), ((8, 16, 32), True)])
def test_too_few_levels_are_refused(channels: tuple[int, ...], supervised: bool) -> None:
    spec = ModelSpec(name="unet", channels=channels, deep_supervision=supervised)
    with pytest.raises(ConfigError, match="channels at least"):
        build_model(spec, 2, 2, seed=0)
