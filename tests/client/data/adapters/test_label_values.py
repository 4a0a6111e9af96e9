"""What a site may say of its label values, and the plans that it cannot serve."""

from typing import Any

import pytest

from client.data.adapters.build import label_rule, label_rule_for
from client.data.adapters.label_values import describe
from common.config import DataSection
from common.errors import ConfigError
from common.plan import Plan

CLASSES = ("netc", "snfh", "et")


def section(**options: Any) -> DataSection:
    values = {"adapter": "nifti_folders", "root": "/nowhere", "sequences": {"t1c": "*"}, **options}
    return DataSection.model_validate(values, strict=False)


def plan(**evaluation: Any) -> Plan:
    values = {"name": "p", "sequences": ["t1c"], "labels": CLASSES, "sites": ["a"], "evaluation": evaluation}
    return Plan.model_validate(values, strict=False)


def test_a_binary_mask_is_a_set_and_background_may_hold_what_nobody_drew() -> None:
    rule = label_rule(section(label_map={1: ("netc", "et")}, unannotated=["snfh"]), CLASSES)
    assert dict(rule.mapping) == {1: 4}
    assert rule.meanings == ((0, 2), (1,), (2,), (3,), (1, 3))
    assert describe(rule, CLASSES) == "1 is netc or et; background may be snfh, which nobody drew"


def test_names_and_numbers_mean_the_same() -> None:
    by_name = label_rule(section(label_map={4: "et", 2: "snfh", 1: "netc"}), CLASSES)
    assert by_name == label_rule(section(label_map={4: 3, 2: 2, 1: ("netc",)}), CLASSES)
    assert dict(by_name.mapping) == {4: 3, 2: 2, 1: 1} and by_name.meanings == ()


def test_sets_are_numbered_by_their_first_value_and_equal_sets_are_one() -> None:
    given = section(label_map={9: ("et", "netc"), 2: ("netc", "et"), 5: "snfh"}, ignore_labels=[7])
    rule = label_rule(given, CLASSES)
    assert dict(rule.mapping) == {9: 4, 2: 4, 5: 2}
    assert rule.meanings == ((0,), (1,), (2,), (3,), (1, 3))
    assert rule.ignored == {7}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_map": {1: ("netc", "et")}}, r'none of its label values is snfh.*unannotated = \["snfh"\]'),
        ({"label_map": {1: 1, 2: 2}}, r"none of its label values is et, which the plan segments"),
        ({"ignore_labels": [2]}, r"none of its label values is snfh"),
        ({"label_map": {1: 0}}, "show none of the plan's"),
        ({"label_map": {1: "tumour"}}, r"label_map: 1 names 'tumour', the plan has \['netc', 'snfh', 'et'\]"),
        ({"unannotated": ["oedema"]}, "unannotated: this names 'oedema'"),
        ({"label_map": {1: ("netc", "et"), 2: "snfh"}, "unannotated": ["snfh"]}, "both a value's meaning and"),
        ({"label_map": {1: ("netc", "et"), 3: "et", 2: "snfh"}}, "et in value 1 and, with other company, in 3"),
        ({"label_map": {0: "snfh", 1: 1, 3: 3}}, "0 is background"),
    ],
)
def test_a_site_that_cannot_serve_the_plan_is_told_what_it_lacks(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        label_rule(section(**options), CLASSES)


def test_labels_that_cannot_tell_tumour_from_the_rest_cannot_be_scored() -> None:
    binary = section(label_map={1: ("netc", "et")}, unannotated=["snfh"])
    assert label_rule_for(binary, plan(tumour=["netc", "et"])).meanings
    with pytest.raises(
        ConfigError, match=r"may be background or snfh, and the plan counts \['netc', 'snfh', 'et'\]"
    ):
        label_rule_for(binary, plan())
    with pytest.raises(ConfigError, match="may be netc or et"):
        label_rule_for(binary, plan(tumour=["et"]))
    whole = section(label_map={1: CLASSES})
    assert label_rule_for(whole, plan()).meanings == ((0,), (1,), (2,), (3,), (1, 2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_map": {1: ()}}, r"1 = \[\] names no label"),
        ({"label_map": {1: -1}}, "class indices, 0 or above"),
    ],
)
def test_maps_that_no_plan_could_follow(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        section(**options)
