"""Between our axes (x, y, z: right, anterior, superior) and the order that nnU-Net plans in.

nnU-Net reads arrays as (z, y, x) and moves the axis of coarsest spacing to the front. No rule names an axis, but
ties are broken by position, so the order counts. This is the only place that turns one into the other: whatever
comes before and after it is (x, y, z), whatever it surrounds is in planning order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

Value = TypeVar("Value")
Ints: TypeAlias = tuple[int, int, int]
Floats: TypeAlias = tuple[float, float, float]

_NAMES = "xyz"
_ZYX = (2, 1, 0)


@dataclass(frozen=True, slots=True)
class PlanningOrder:
    """Which of x, y, z is first, second and third where a plan is made.

    Attributes:
        indices: position in (x, y, z) of each planning axis; (2, 1, 0) is (z, y, x).
    """

    indices: Ints

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of the planning axes, such as ("z", "y", "x")."""
        first, second, third = (_NAMES[index] for index in self.indices)
        return (first, second, third)

    def from_xyz(self, values: Sequence[Value]) -> tuple[Value, Value, Value]:
        """Values given as (x, y, z), in planning order."""
        first, second, third = (values[index] for index in self.indices)
        return (first, second, third)

    def to_xyz(self, values: Sequence[Value]) -> tuple[Value, Value, Value]:
        """Values given in planning order, as (x, y, z)."""
        x, y, z = (values[self.indices.index(axis)] for axis in range(3))
        return (x, y, z)


def planning_order(spacing_mm: Floats) -> PlanningOrder:
    """The order for a spacing given as (x, y, z): the coarsest axis first, the others as in (z, y, x).

    Example: (0.86, 0.86, 1.5) and (1, 1, 1) give z, y, x; (4, 1, 1), sagittal slices, gives x, z, y.
    """
    coarsest = max(_ZYX, key=lambda axis: spacing_mm[axis])  # the first of equals
    second, third = (axis for axis in _ZYX if axis != coarsest)
    return PlanningOrder((coarsest, second, third))
