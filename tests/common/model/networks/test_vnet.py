import pytest
import torch
from monai.networks.nets import VNet

from common.errors import ConfigError
from common.model.build import build_model
from common.model.networks.norms import without_batch_norm
from common.plan import ModelSpec


def test_it_is_monais_network_where_monai_has_one() -> None:
    ours = build_model(ModelSpec(name="vnet"), 2, 3, seed=0).eval()
    oracle = without_batch_norm(VNet(in_channels=2, out_channels=3, act="prelu")).eval()
    assert [p.shape for p in ours.parameters()] == [p.shape for p in _in_our_order(oracle)]
    with torch.no_grad():
        for target, source in zip(_in_our_order(oracle), ours.parameters(), strict=True):
            target.copy_(source)
        image = torch.randn(1, 2, 16, 16, 32, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(ours(image), oracle(image))


def _in_our_order(oracle: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Ours lists the entry's convolution before its activation; MONAI's, the other way round."""
    parameters = dict(oracle.named_parameters())
    entry = [key for key in parameters if key.startswith("in_tr.")]
    entry.sort(key=lambda key: "act_function" in key)
    return [parameters[key] for key in (*entry, *(key for key in parameters if key not in entry))]


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ((16, 32, 64, 128), r"has 5 stages: give 5 channels such as \[16, 32, 64, 128, 256\]"),
        ((16, 32, 64, 128, 128), r"\[16, 32, 64, 128, 128\] should be \[16, 32, 64, 128, 256\]"),
        ((3, 6, 12, 24, 48), "multiples of 2 .half of them come over the skip connection., got 3"),
    ],
)
def test_widths_that_its_stages_cannot_have_are_refused(channels: tuple[int, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_model(ModelSpec(name="vnet", channels=channels), 2, 2, seed=0)
