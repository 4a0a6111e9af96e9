"""Every network by name, at widths that train in a moment, with the smallest cube that it takes."""

from common.model_spec import NetworkName
from common.plan import ModelSpec

SMALL: dict[NetworkName, ModelSpec] = {
    "unet": ModelSpec(name="unet", channels=(4, 8, 8)),
    "unet_small": ModelSpec(name="unet_small", channels=(4, 8)),
    "unet_resenc": ModelSpec(name="unet_resenc", channels=(4, 8, 8)),
    "resnet34_unet": ModelSpec(name="resnet34_unet", channels=(4, 4, 8, 8)),
    "attention_unet": ModelSpec(name="attention_unet", channels=(4, 8, 8)),
    "vnet": ModelSpec(name="vnet", channels=(2, 4, 8, 16, 32)),
    "segresnet": ModelSpec(name="segresnet", channels=(8, 16, 32, 64)),
    "deepmedic": ModelSpec(name="deepmedic", channels=(4, 4, 6)),
    "cnn": ModelSpec(name="cnn", channels=(4, 6)),
    "fcn": ModelSpec(name="fcn", channels=(4, 8, 8)),
}
EDGE: dict[NetworkName, int] = {
    "unet": 8,
    "unet_small": 4,
    "unet_resenc": 8,
    "resnet34_unet": 64,
    "attention_unet": 8,
    "vnet": 32,
    "segresnet": 8,
    "deepmedic": 5,
    "cnn": 2,
    "fcn": 8,
}
NAMES: tuple[NetworkName, ...] = tuple(SMALL)
