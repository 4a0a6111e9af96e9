"""Label rules: the adapter's own set, or the map, and when a map is needed."""

from typing import Any

import pytest

from client.data.adapters.build import label_rule
from common.config import DataSection
from common.errors import ConfigError

CLASSES = ("netc", "snfh", "et")


def section(adapter: str, **options: Any) -> DataSection:
    extra = {"sequences": {"t1c": "*"}} if adapter == "nifti_folders" else {}
    return DataSection.model_validate({"adapter": adapter, "root": "/nowhere", **extra, **options}, strict=False)


@pytest.mark.parametrize(
    ("given", "labels", "mapping"),
    [
        (section("ucsf_bmsr"), ("tumour",), {1: 1}),
        (section("ucsf_bmsr", labels="three_class"), CLASSES, {1: 1, 2: 2, 3: 3}),
        (section("brats_mets"), CLASSES, {1: 1, 2: 2, 3: 3}),
        (section("brats_mets", unannotated=["rc"]), (*CLASSES, "rc"), {1: 1, 2: 2, 3: 3}),
        (section("nifti_folders"), ("tumour",), {1: 1}),
        (section("nifti_folders"), ("core", "oedema"), {1: 1, 2: 2}),
        (section("brats_mets", label_map={1: 1, 3: 1}, ignore_labels=[2]), ("tumour",), {1: 1, 3: 1}),
        (section("brats_mets", ignore_labels=[3]), ("netc", "snfh"), {1: 1, 2: 2}),
    ],
)
def test_values_and_classes(given: DataSection, labels: tuple[str, ...], mapping: dict[int, int]) -> None:
    rule = label_rule(given, labels)
    assert dict(rule.mapping) == mapping
    assert rule.ignored == frozenset(given.ignore_labels)


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        (section("ucsf_bmsr", labels="three_class"), ("tumour",), "give a label_map"),
        (section("brats_mets"), ("tumour",), "give a label_map"),
        (section("ucsf_bmsr"), CLASSES, "give a label_map"),
        (section("brats_mets", label_map={1: 1, 3: 2}), ("tumour",), "beyond the plan's 1 label"),
        (section("nifti_folders", label_map={0: 1}), ("tumour",), "0 is background"),
    ],
)
def test_sets_that_do_not_fit(given: DataSection, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        label_rule(given, labels)
