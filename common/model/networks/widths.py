"""Checks of a network's channels that several networks share."""

from common.errors import ConfigError
from common.model_spec import PUBLISHED_CHANNELS, ModelSpec


def need_stages(spec: ModelSpec, stages: int) -> tuple[int, ...]:
    """The widths of a network whose depth is fixed.

    Raises:
        ConfigError: another number of them.
    """
    if len(spec.widths) != stages:
        raise ConfigError(
            f"network {spec.name} has {stages} stages: give {stages} channels such as "
            f"{list(PUBLISHED_CHANNELS[spec.name])}, got {list(spec.widths)}"
        )
    return spec.widths


def need_doubling(spec: ModelSpec) -> None:
    """Refuse widths that do not double from stage to stage, where the network's blocks do.

    Raises:
        ConfigError: gives the widths that would follow from the first.
    """
    widths = spec.widths
    doubled = [widths[0] * 2**stage for stage in range(len(widths))]
    if list(widths) != doubled:
        raise ConfigError(f"channels of {spec.name} double at every stage: {list(widths)} should be {doubled}")


def need_multiple(spec: ModelSpec, divisor: int, why: str) -> None:
    """Refuse a width that is no multiple of `divisor`.

    Raises:
        ConfigError: names the width, and why.
    """
    for width in spec.widths:
        if width % divisor:
            raise ConfigError(
                f"channels of {spec.name} must be multiples of {divisor} ({why}), got {width} in "
                f"{list(spec.widths)}"
            )
