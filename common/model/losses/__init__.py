"""Training losses by name; one file a family, `build.py` puts them together."""

from common.model.losses.build import build_loss
from common.model.losses.supervision import level_weights
from common.model.losses.target import Loss

__all__ = ["Loss", "build_loss", "level_weights"]
