"""A plan's settings of the network."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.numbers import Count
from common.schema import Frozen


class ModelSpec(Frozen):
    """A network by name. Channels in and out follow from the plan's sequences and labels."""

    name: Literal["unet", "unet_small"] = "unet"
    channels: Annotated[tuple[Count, ...], Field(min_length=2, max_length=8)] = (32, 64, 128, 256, 320, 320)
    deep_supervision: bool = False

    @model_validator(mode="after")
    def _supervise_only_unet(self) -> "ModelSpec":
        if self.deep_supervision and self.name != "unet":
            raise ValueError("deep_supervision is an option of the network 'unet' only")
        return self
