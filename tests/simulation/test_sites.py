from pathlib import Path

import pytest

from common.errors import OutputError
from simulation.sites import load_prepared, save_prepared
from tests.simulation.experiments import make_prepared, make_site


def test_sites_are_read_as_they_were_written(tmp_path: Path) -> None:
    prepared = make_prepared()
    save_prepared(prepared, tmp_path)
    assert load_prepared(tmp_path) == prepared
    assert [case.exam for case in prepared.site("south").cases] == [
        "south-train-0A",
        "south-train-1A",
        "south-test-0A",
    ]


def test_the_same_cases_may_come_again_on_another_device(tmp_path: Path) -> None:
    save_prepared(make_prepared(), tmp_path)
    load_prepared(tmp_path)
    other = make_prepared().model_copy(update={"device": "cuda"})
    save_prepared(other, tmp_path)
    assert load_prepared(tmp_path) == other


def test_other_cases_are_refused_by_site(tmp_path: Path) -> None:
    save_prepared(make_prepared(make_site("north"), make_site("south")), tmp_path)
    with pytest.raises(OutputError, match=r"site south have changed .* \(3 usable then, 4 now\); restore them"):
        save_prepared(make_prepared(make_site("north"), make_site("south", test=2)), tmp_path)
    with pytest.raises(OutputError, match=r"site south have changed .* \(3 usable then, 0 now\)"):
        save_prepared(make_prepared(make_site("north")), tmp_path)


def test_a_damaged_list_of_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").write_text("{")
    with pytest.raises(OutputError, match=r"prepared\.json: not readable; remove the folder"):
        save_prepared(make_prepared(), tmp_path)
