"""Which of a plan's sequences a case has: read from a file, made of others, or absent.

An absent sequence is a channel of 0 everywhere, which is the mean after z-scoring: the network gets as many
channels from every case (union channels, as in FedUniBrain, arXiv 2406.11636). No further channel says that one is
absent: one that is there has a standard deviation of 1 in the brain, so any patch with brain tells them apart.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from common.plan import Terms

SUBTRACTION, PRE_CONTRAST, POST_CONTRAST = "subtraction", "t1", "t1c"


@dataclass(frozen=True, slots=True)
class Channels:
    """Where a case's channels come from.

    Attributes:
        read: the images that are read: the plan's in its order, then those that only serve to make another.
        made: sequences of the plan that are computed of these.
        absent: optional sequences of the plan that can be neither read nor made.
        lacking: required ones for which that holds: the case cannot serve.
    """

    read: tuple[str, ...]
    made: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


def find_channels(
    have: Collection[str],
    sequences: tuple[str, ...],
    optional: Collection[str] = (),
    make_subtraction: bool = False,
) -> Channels:
    """Tell where each sequence of a plan comes from; a file is preferred to making.

    Example: of t1c, subtraction, flair with only subtraction made and flair optional, a case with t1 and t1c reads
    t1c, t1, makes subtraction and lacks nothing; flair is absent.

    Args:
        have: the sequences that the case has files of.
        sequences: the plan's, in channel order.
        optional: those of them that a case may lack.
        make_subtraction: whether t1 and t1c may become a subtraction.
    """
    pair = (POST_CONTRAST, PRE_CONTRAST)
    can_make = make_subtraction and all(name in have for name in pair)
    read = [name for name in sequences if name in have]
    made = tuple(name for name in sequences if name == SUBTRACTION and name not in have and can_make)
    rest = [name for name in sequences if name not in have and name not in made]
    return Channels(
        read=(*read, *(name for name in pair if made and name not in read)),
        made=made,
        absent=tuple(name for name in rest if name in optional),
        lacking=tuple(name for name in rest if name not in optional),
    )


def channels_for(have: Collection[str], terms: Terms) -> Channels:
    """`find_channels` under a plan's terms."""
    return find_channels(have, terms.sequences, terms.optional_sequences, terms.preprocessing.make_subtraction)


def count_sequences(cases: Iterable[Collection[str]], terms: Terms) -> dict[str, int]:
    """Cases that have each of the plan's sequences, read or made, in the plan's order; 0 where none has."""
    counts: Counter[str] = Counter()
    for have in cases:
        found = channels_for(have, terms)
        counts.update({*found.read, *found.made})
    return {name: counts[name] for name in terms.sequences}


def count_lacking(cases: Iterable[Collection[str]], terms: Terms) -> dict[str, int]:
    """Cases that lack a required sequence, by sequence, in the plan's order; empty where none does."""
    counts: Counter[str] = Counter()
    for have in cases:
        counts.update(channels_for(have, terms).lacking)
    return {name: counts[name] for name in terms.sequences if counts[name]}


def what_lacks(lacking: Mapping[str, int], cases: int, terms: Terms) -> str:
    """What a site misses and what to do about it, in one sentence.

    Example: "5 of 5 cases lack flair, which the plan requires: add the files or correct their names, or ask
    for a plan with optional_sequences = ["flair"]".
    """
    counted = ", ".join(f"{count} of {cases} cases lack {name}" for name, count in lacking.items())
    advice = ["add the files or correct their names"]
    optional = [name for name in lacking if name != terms.sequences[0]]
    if optional:
        wanted = ", ".join(f'"{name}"' for name in (*terms.optional_sequences, *optional))
        advice.append(f"ask for a plan with optional_sequences = [{wanted}]")
    if SUBTRACTION in lacking and not terms.preprocessing.make_subtraction:
        advice.append("for one with make_subtraction = true, where t1 and t1c are there")
    return f"{counted}, which the plan requires: {', or '.join(advice)}"
