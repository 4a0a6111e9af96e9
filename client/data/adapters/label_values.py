"""From what a site says of its label values to a rule: classes, sets of classes, and what nobody there drew."""

from collections.abc import Mapping, Sequence

from client.data.case import LabelRule
from common.config import DataSection
from common.errors import ConfigError

Shown = Mapping[int, frozenset[int]]
"""Classes of the plan that a value in the file may be; {0} for background."""


def shown_by_map(section: DataSection, labels: Sequence[str]) -> Shown:
    """Read a `label_map`, whose targets are indices, names or several names.

    Raises:
        ConfigError: value 0 is mapped, or a target is no label of the plan.
    """
    shown = {}
    for value, target in (section.label_map or {}).items():
        if value == 0 and target != 0:
            raise ConfigError(
                f"[data].label_map: 0 is background, got 0 = {target}; leave 0 out, and name what nobody drew in "
                "unannotated"
            )
        if isinstance(target, int):
            shown[value] = frozenset({_class(value, target, labels)})
        else:
            names = (target,) if isinstance(target, str) else target
            shown[value] = frozenset(_index(name, labels, f"label_map: {value}") for name in names)
    return shown


def rule_of(section: DataSection, shown: Shown, labels: Sequence[str]) -> LabelRule:
    """The rule of a site whose values show these classes.

    A set of several classes gets the next index after the plan's. Example: labels ("netc", "snfh", "et"), value 1
    shows netc or et, oedema was not drawn: 1 becomes index 4, and index i may be the classes
    ((0, 2), (1,), (2,), (3,), (1, 3))[i].

    Raises:
        ConfigError: two values' sets overlap, a label of the plan is neither shown nor said to be unannotated, or
            none is shown.
    """
    where = f"[data] of {section.root}"
    undrawn = frozenset(_index(name, labels, "unannotated: this") for name in section.unannotated)
    seen = frozenset().union(*shown.values()) - {0}
    if not seen:
        raise ConfigError(
            f"{where}: its labels show none of the plan's {list(labels)}, so there is nothing to learn from; "
            "correct label_map and ignore_labels"
        )
    _refuse_twice(where, undrawn & seen, labels)
    _refuse_overlap(where, shown, labels)
    lacking = [name for index, name in enumerate(labels, start=1) if index not in seen | undrawn]
    if lacking:
        raise ConfigError(
            f"{where}: none of its label values is {' or '.join(lacking)}, which the plan segments; map the value "
            f"that is, or write unannotated = {_toml(lacking)} if nobody drew it"
        )
    sets = list(dict.fromkeys(classes for _, classes in sorted(shown.items()) if len(classes) > 1))
    index_of = {classes: len(labels) + 1 + number for number, classes in enumerate(sets)}
    mapping = {
        value: index_of[classes] if classes in index_of else next(iter(classes))
        for value, classes in shown.items()
    }
    ignored = frozenset(section.ignore_labels)
    if not sets and not undrawn:
        return LabelRule(mapping, ignored)
    own = tuple((index,) for index in range(1, len(labels) + 1))
    meanings = ((0, *sorted(undrawn)), *own, *(tuple(sorted(classes)) for classes in sets))
    return LabelRule(mapping, ignored, meanings)


def describe(rule: LabelRule, labels: Sequence[str]) -> str:
    """What the indices mean, for a person: "1 is netc or et; background may be snfh, which nobody drew"."""
    names = ("background", *labels)
    meanings = rule.meanings or tuple((index,) for index in range(len(names)))
    drawn = [
        f"{value} is {' or '.join(names[each] for each in meanings[index])}"
        for value, index in sorted(rule.mapping.items())
        if index > 0
    ]
    undrawn = [names[each] for each in meanings[0][1:]]
    return "; ".join(drawn + ([f"background may be {' or '.join(undrawn)}, which nobody drew"] if undrawn else []))


def _class(value: int, target: int, labels: Sequence[str]) -> int:
    if target > len(labels):
        raise ConfigError(
            f"[data].label_map: {value} = {target} goes beyond the plan's {len(labels)} label(s) {list(labels)}; "
            f"map to 1 to {len(labels)} or a name, or to 0 for background"
        )
    return target


def _index(name: str, labels: Sequence[str], what: str) -> int:
    if name not in labels:
        raise ConfigError(f"[data].{what} names '{name}', the plan has {list(labels)}; choose of these")
    return labels.index(name) + 1


def _refuse_twice(where: str, both: frozenset[int], labels: Sequence[str]) -> None:
    if both:
        names = [labels[index - 1] for index in sorted(both)]
        raise ConfigError(f"{where}: {names} is both a value's meaning and unannotated; leave out one of the two")


def _refuse_overlap(where: str, shown: Shown, labels: Sequence[str]) -> None:
    """Probabilities of sets add up to a loss only when no class is in two of them."""
    names = ("background", *labels)
    values = sorted(shown)
    for place, value in enumerate(values):
        for other in values[place + 1 :]:
            shared = shown[value] & shown[other]
            if shared and shown[value] != shown[other]:
                raise ConfigError(
                    f"{where}: label_map has {names[min(shared)]} in value {value} and, with other company, in "
                    f"{other}; a label may be in one set only: give both values the larger set"
                )


def _toml(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
