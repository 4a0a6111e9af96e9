"""What a site's label indices stand for, where its labels are coarser than the plan's classes."""

from collections.abc import Set
from typing import TypeAlias

Meanings: TypeAlias = tuple[tuple[int, ...], ...]
"""Classes that a label index may be, by index, in rising order; () where every index is the class of its number.

With the plan's labels ("netc", "snfh", "et"), a mask of netc and et in one, drawn by somebody who left oedema out:
((0, 2), (1,), (2,), (3,), (1, 3)). Index 0 is background or oedema, index 4 is core or rim, and 1 to 3 do not
occur. Sets that occur are equal or share no class.
"""


def indices_within(meanings: Meanings, classes: Set[int]) -> frozenset[int]:
    """Label indices that can be nothing but one of these classes.

    In the example above: of classes {1, 3} the indices 1, 3 and 4; of {1} index 1 alone.
    """
    if not meanings:
        return frozenset(classes)
    return frozenset(index for index, known in enumerate(meanings) if set(known) <= classes)


def indices_astride(meanings: Meanings, classes: Set[int]) -> tuple[int, ...]:
    """Label indices that may be one of these classes or may be none of them: index 4 and classes {1}, above."""
    return tuple(
        index for index, known in enumerate(meanings) if set(known) & classes and not set(known) <= classes
    )
