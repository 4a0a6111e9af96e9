from typing import Any

import pytest

from common.config import validate
from common.errors import ConfigError
from simulation.phantom.profile import PhantomSection


def read(**site: Any) -> PhantomSection:
    return validate(PhantomSection, {"sites": [{"name": "a", "patients": 3, **site}]}, "test.toml")


def test_defaults_are_calibrated() -> None:
    site = read().sites[0]
    assert (site.volume_median_mm3, site.volume_sigma) == (39.7, 2.109)
    assert (site.lesion_count_mu, site.lesion_count_dispersion, site.zero_lesion_share) == (4.59, 0.30, 0.035)
    assert read().lesion_scale == 1.0


def test_field_of_view_stays_when_a_site_has_other_voxels() -> None:
    section = read(spacing_mm=[1.0, 1.0, 4.0])
    assert section.field_of_view_mm == (192.0, 192.0, 192.0)
    assert section.shape_of(section.sites[0]) == (192, 192, 48)


@pytest.mark.parametrize(
    ("site", "word"),
    [
        ({"orientation": "RLS"}, "once"),
        ({"spacing_mm": [0.1, 1.0, 1.0]}, "512"),
        ({"vessels": "white_blood"}, "black_blood"),
        ({"missing": ["t3"]}, "missing"),
        ({"primary_cancer": {"lung": 0.0}}, "primary_cancer"),
        ({"patients": 0}, "patients"),
        ({"color": "red"}, "unknown key"),
    ],
)
def test_faults_are_named(site: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        read(**site)


def test_two_sites_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        validate(PhantomSection, {"sites": [{"name": "a", "patients": 1}] * 2}, "test.toml")


def test_a_view_too_small_for_a_head_is_refused() -> None:
    values = {"shape": [30, 30, 30], "sites": [{"name": "a", "patients": 1}]}
    with pytest.raises(ConfigError, match="no brain fits"):
        validate(PhantomSection, values, "test.toml")
