from typing import Any

import pytest

from common.errors import ConfigError
from simulation.ablation.settings import with_settings

VALUES: dict[str, Any] = {
    "seed": 1,
    "training": {"steps": 2},
    "phantom": {"sites": [{"name": "north"}, {"name": "west", "gain": 150.0}]},
}


def test_settings_are_put_in_their_places_of_a_copy() -> None:
    settings = {
        "training.loss": "blob",
        "phantom.sites.west.missing": ["flair"],
        "federation.rounds": 3,
        "seed": 2,
    }
    changed = with_settings(VALUES, settings, "here")
    assert changed == {
        "seed": 2,
        "training": {"steps": 2, "loss": "blob"},
        "phantom": {"sites": [{"name": "north"}, {"name": "west", "gain": 150.0, "missing": ["flair"]}]},
        "federation": {"rounds": 3},
    }
    assert VALUES["training"] == {"steps": 2}
    assert VALUES["phantom"]["sites"][1] == {"name": "west", "gain": 150.0}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "phantom.sites.east.missing",
            r"'phantom.sites.east.missing': there is no table named 'east' \(there are: north",
        ),
        ("training.steps.more", "'steps' is no table but 2"),
        ("phantom.sites", ""),
        ("phantom.sites.more", "'sites' is a list of tables"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, reason: str) -> None:
    if not reason:  # a list of tables may be replaced as a whole
        assert with_settings(VALUES, {name: []}, "here")["phantom"]["sites"] == []
        return
    with pytest.raises(ConfigError, match=f"^here: .*{reason}"):
        with_settings(VALUES, {name: 1}, "here")
