"""nnU-Net's planners: which network each plans, what a patch of it may keep in memory, how large a batch may be.

The numbers are those of nnU-Net, version 2: of its default planner, of the one for residual encoders, and of the
presets M, L and XL of the latter (Isensee et al., MICCAI 2024, arXiv 2404.09556).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

PlannedNetwork: TypeAlias = Literal["unet", "unet_resenc"]
PlannerName: TypeAlias = Literal["unet", "unet_resenc", "unet_resenc_m", "unet_resenc_l", "unet_resenc_xl"]

REFERENCE_BATCH = 2


@dataclass(frozen=True, slots=True)
class Planner:
    """What a known plan needs, from which others follow in proportion.

    Attributes:
        network: what is planned.
        reference_features: values that each of two samples keeps in `reference_gb`.
        reference_gb: memory of the GPU.
        batch_share: most of the dataset's voxels that a batch may cover.
    """

    network: PlannedNetwork
    reference_features: float
    reference_gb: float
    batch_share: float

    def feature_budget(self, memory_gb: float) -> float:
        """Values that each of two samples may keep, in proportion to memory: 560 million in 8 GB (unet)."""
        return self.reference_features * (memory_gb / self.reference_gb)


PLANNERS: Mapping[PlannerName, Planner] = {
    "unet": Planner("unet", 560e6, 8.0, 0.05),
    "unet_resenc": Planner("unet_resenc", 680e6, 8.0, 0.05),
    "unet_resenc_m": Planner("unet_resenc", 680e6, 8.0, 1.0),
    "unet_resenc_l": Planner("unet_resenc", 2100e6, 24.0, 1.0),
    "unet_resenc_xl": Planner("unet_resenc", 3600e6, 40.0, 1.0),
}
