"""A plan's settings of the network. No torch here: a plan is read where no network is built."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from common.numbers import Count
from common.schema import Frozen

NetworkName: TypeAlias = Literal[
    "unet",
    "unet_small",
    "unet_resenc",
    "resnet34_unet",
    "attention_unet",
    "vnet",
    "segresnet",
    "deepmedic",
    "cnn",
    "fcn",
]
Kernel: TypeAlias = Annotated[int, Field(ge=1, le=7)]
Stride: TypeAlias = Annotated[int, Field(ge=1, le=2)]
Dropout: TypeAlias = Annotated[float, Field(ge=0.0, lt=1.0)]

PUBLISHED_CHANNELS: Mapping[NetworkName, tuple[int, ...]] = {
    "unet": (32, 64, 128, 256, 320, 320),
    "unet_small": (32, 64, 128, 256, 320, 320),
    "unet_resenc": (32, 64, 128, 256, 320, 320),
    "resnet34_unet": (64, 128, 256, 512),
    "attention_unet": (16, 32, 64, 128, 256),
    "vnet": (16, 32, 64, 128, 256),
    "segresnet": (32, 64, 128, 256),
    "deepmedic": (30, 30, 40, 40, 40, 40, 50, 50),
    "cnn": (32, 64, 64, 32),
    "fcn": (32, 64, 128, 256, 512),
}
PUBLISHED_DROPOUT: Mapping[NetworkName, float] = {
    "resnet34_unet": 0.5,
    "attention_unet": 0.0,
    "vnet": 0.5,
    "segresnet": 0.2,
    "deepmedic": 0.5,
    "cnn": 0.5,
    "fcn": 0.5,
}
_SUPERVISED: tuple[NetworkName, ...] = ("unet", "unet_resenc")
_PLANNED: tuple[NetworkName, ...] = ("unet", "unet_resenc")


class ModelSpec(Frozen):
    """A network by name. Channels in and out follow from the plan's sequences and labels.

    Attributes:
        name: which network (docs/models.md).
        channels: width by stage, the finest first; None for the published width (`widths` resolves it).
        deep_supervision: a loss also on the coarser outputs.
        dropout: share of values dropped in training; None for the published share (`dropout_share` resolves it).
        kernel_sizes: of the convolutions, by stage and axis; None for 3 everywhere.
        strides: at the entry of each stage, by axis; None for 1 at the first stage and 2 at the others.
    """

    name: NetworkName = "unet"
    channels: Annotated[tuple[Count, ...], Field(min_length=2, max_length=8)] | None = None
    deep_supervision: bool = False
    dropout: Dropout | None = None
    kernel_sizes: tuple[tuple[Kernel, Kernel, Kernel], ...] | None = None
    strides: tuple[tuple[Stride, Stride, Stride], ...] | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels by stage: the plan's own, or the published ones."""
        return PUBLISHED_CHANNELS[self.name] if self.channels is None else self.channels

    @property
    def dropout_share(self) -> float:
        """The plan's own share, or the published one; 0 for a network that has no dropout."""
        return PUBLISHED_DROPOUT.get(self.name, 0.0) if self.dropout is None else self.dropout

    @property
    def stage_kernels(self) -> tuple[tuple[int, int, int], ...]:
        """Kernel sizes by stage, 3 where the plan says nothing."""
        return ((3, 3, 3),) * len(self.widths) if self.kernel_sizes is None else self.kernel_sizes

    @property
    def stage_strides(self) -> tuple[tuple[int, int, int], ...]:
        """Strides by stage, 1 and then 2 where the plan says nothing."""
        if self.strides is None:
            return ((1, 1, 1),) + ((2, 2, 2),) * (len(self.widths) - 1)
        return self.strides

    @model_validator(mode="after")
    def _options_belong_to_the_network(self) -> "ModelSpec":
        if self.deep_supervision:
            self._refuse_unless("deep_supervision", _SUPERVISED)
        if self.dropout is not None:
            self._refuse_unless("dropout", tuple(PUBLISHED_DROPOUT))
        if self.kernel_sizes is not None:
            self._refuse_unless("kernel_sizes", _PLANNED)
        if self.strides is not None:
            self._refuse_unless("strides", _PLANNED)
        return self

    @model_validator(mode="after")
    def _stages_agree(self) -> "ModelSpec":
        stages = len(self.widths)
        for field, values in (("kernel_sizes", self.kernel_sizes), ("strides", self.strides)):
            if values is not None and len(values) != stages:
                raise ValueError(
                    f"{field} has {len(values)} entries for {stages} stages: give one for each of the channels "
                    f"{list(self.widths)}"
                )
        even = [kernel for kernel in self.kernel_sizes or () if any(edge % 2 == 0 for edge in kernel)]
        if even:
            raise ValueError(f"kernel_sizes holds {list(even[0])}: a kernel needs a middle, give odd numbers")
        if self.strides is not None and self.strides[0] != (1, 1, 1):
            raise ValueError(
                f"strides begin with {list(self.strides[0])}: the first stage keeps the patch's size, "
                "give [1, 1, 1]"
            )
        return self

    def _refuse_unless(self, option: str, networks: tuple[NetworkName, ...]) -> None:
        if self.name not in networks:
            raise ValueError(
                f"{option} is an option of {', '.join(networks)}, not of '{self.name}': leave it out or take "
                "another network"
            )
