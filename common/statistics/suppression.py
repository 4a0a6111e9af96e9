"""Which groups of a table must not be shown, so that no small group can be read or worked out."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

FEWEST_PATIENTS = 5


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What must stay hidden of one table.

    Attributes:
        groups: their numbers, and every figure formed from their patients.
        total: whether the total must stay hidden too, being small itself.
    """

    groups: frozenset[str]
    total: bool


def suppress_small(patients: Mapping[str, int], minimum: int = FEWEST_PATIENTS) -> Suppressed:
    """Hide groups of fewer than `minimum` patients, and as many more as keep them from following from the rest.

    The total is taken to be known. A single hidden group would be the total less the others; so would the sum of
    two hidden groups that together are still small. The smallest group left is therefore hidden as well (the
    first by name of equals) until the hidden ones, now two or more, have at least `minimum` patients between them:

        female 9, male 3                  -> both: male would follow
        a 20, b 12, c 6, d 2              -> c and d
        a 20, b 12, c 6, d 2, e 1         -> c, d and e: d and e alone would be a small cell of 3
        a 20, b 3, c 2                    -> b and c: 5 together
        a 20, b 5                         -> none

    A group without patients hides nobody and protects nobody: it is neither hidden nor counted. With all groups
    hidden there is nothing left to subtract from.

    The guarantee is for one table of groups that share no patient and make up the total. It does not cover the
    difference of two tables of the same site at two times, nor a table broken down by two properties.

    Raises:
        ValueError: a negative number, or a minimum below 1.
    """
    if minimum < 1 or any(count < 0 for count in patients.values()):
        raise ValueError(f"groups {dict(patients)} with minimum {minimum}: numbers of patients cannot be negative")
    order = sorted((count, name) for name, count in patients.items() if count > 0)
    hidden = [entry for entry in order if entry[0] < minimum]
    if hidden:
        for entry in order[len(hidden) :]:  # a single hidden group is below the minimum, so another follows
            if sum(count for count, _ in hidden) >= minimum:
                break
            hidden.append(entry)
    total = sum(patients.values())
    return Suppressed(frozenset(name for _, name in hidden), 0 < total < minimum)


def suppress_overlapping(members: Mapping[str, Set[object]], minimum: int = FEWEST_PATIENTS) -> frozenset[str]:
    """The groups to hide where a patient may stand in several, such as lesions by size.

    What is known of all groups together less what is shown is known of the hidden ones together: they are added
    to, smallest first, until at least `minimum` different patients are behind them, or all are hidden:

        small {a b c d e f g}, medium {a b c d e f}, large {a b}  -> large and medium
        small {a b c d e f g}, medium {a b c}, large {a b}        -> all: a b c would be three
        small {a b c d e}, medium {}, large {c d e f g}           -> none

    Raises:
        ValueError: a minimum below 1.
    """
    if minimum < 1:
        raise ValueError(f"minimum {minimum}: groups of no patient hide nobody")
    order = sorted(((len(own), name) for name, own in members.items() if own))
    hidden = [name for count, name in order if count < minimum]
    if hidden:
        for _, name in order[len(hidden) :]:
            if len(frozenset().union(*(members[one] for one in hidden))) >= minimum:
                break
            hidden.append(name)
    return frozenset(hidden)
