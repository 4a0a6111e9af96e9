"""Reasons and settings: what a person reads and what an experiment file takes."""

import json
import tomllib

from common.model.patches import check_patch_size
from common.model_spec import ModelSpec
from common.planning.axes import planning_order
from common.planning.fingerprint import Fingerprint
from common.planning.network_plan import plan_network
from common.planning.reasons import explain
from common.planning.settings import as_sections, as_toml, not_followed
from tests.common.planning.cohorts import FOUR_SEQUENCES, LARGE, SLICES, UCSF_BMSR, cohort, planned


def test_reasons_carry_the_numbers_of_the_published_plan() -> None:
    why = explain(plan_network(UCSF_BMSR, FOUR_SEQUENCES))
    assert list(why) == ["spacing", "patch_size", "network", "batch_size", "low_resolution", "normalisation"]
    assert "0.8594 x 0.8594 x 1.5 mm" in why["spacing"]
    assert "215 x 227 x 100.5 voxels" in why["patch_size"]
    assert "y to 224, z to 96, x to 192, y to 192, z to 80, x to 160, until 533 million" in why["patch_size"]
    assert "over the 560 million that 8 GB allow" in why["patch_size"]
    assert "halved 5, 5 and 4 times" in why["network"] and "6 stages" in why["network"]
    assert "memory holds 2 patches" in why["batch_size"] and "are 32" in why["batch_size"]
    assert "covers 50% of the median case" in why["low_resolution"]
    assert "leaves 50%" in why["normalisation"] and "inside the brain" in why["normalisation"]


def test_reasons_differ_where_the_rules_do() -> None:
    coarse = explain(
        planned(cohort((10.0, 1.5, 1.5), (9, 256, 216), 50, p10_zyx_mm=(5.0, 1.4, 1.4), cropped_share=0.9))
    )
    assert "it is made 5 mm, after its 10th percentile of 5 mm" in coarse["spacing"]
    assert "not under 75%" in coarse["normalisation"]
    assert "kernels are 1 along a coarse axis in the first 2 stages" in explain(planned(SLICES))["network"]
    assert "would train a first network at" in explain(planned(LARGE))["low_resolution"]


def test_settings_are_in_xyz_and_build_a_network() -> None:
    for fingerprint in (UCSF_BMSR, SLICES, LARGE):
        plan = plan_network(fingerprint, FOUR_SEQUENCES)
        sections = tomllib.loads(as_toml(plan, "cohort.toml"))
        assert sections == as_sections(plan)
        spec = ModelSpec.from_json(json.dumps(sections["model"]))
        x, y, z = sections["training"]["patch_size"]
        check_patch_size(spec, (x, y, z))
    ucsf = as_sections(plan_network(UCSF_BMSR, FOUR_SEQUENCES))
    assert ucsf["preprocessing"]["spacing_mm"] == [0.8594, 0.8594, 1.5]
    assert ucsf["training"] == {"batch_size": 2, "patch_size": [160, 192, 80]}
    assert ucsf["model"]["strides"][-1] == [2, 2, 1]


def test_what_is_not_followed_is_said() -> None:
    def told(fingerprint: Fingerprint, text: str) -> bool:
        return any(text in sentence for sentence in not_followed(planned(fingerprint)))

    assert told(UCSF_BMSR, "median case of 215 x 227 x 100.5 voxels")
    assert told(LARGE, "no cascade") and not told(UCSF_BMSR, "no cascade")
    assert told(cohort((5.0, 1.0, 1.0), (1, 200, 200), 50), "one voxel thick along z")
    assert told(cohort((1.0, 1.0, 1.0), (9, 9, 9), 50), "ask for 2 stage(s), unet is built with 3 to 8")
    assert told(cohort((1.0, 1.0, 1.0), (64, 64, 64), 50, cropped_share=0.8), "always taken inside the brain")


def test_order_turns_both_ways() -> None:
    for spacing_mm in ((1.0, 1.0, 1.0), (4.0, 1.0, 1.0), (1.0, 4.0, 1.0), (1.0, 1.0, 4.0)):
        order = planning_order(spacing_mm)
        assert order.to_xyz(order.from_xyz("xyz")) == ("x", "y", "z")
        assert max(spacing_mm) == order.from_xyz(spacing_mm)[0]
        assert "".join(order.names) in ("zyx", "xzy", "yzx")
