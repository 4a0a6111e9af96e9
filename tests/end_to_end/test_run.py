"""A whole run: what it leaves behind, and that it follows from its configuration and seed."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from common.release import open_release
from server.cli import run_checks
from tests.end_to_end.schema import misfits, result_shape
from tests.end_to_end.tiny import SITES, Ran, data_config, last_models, run_here


def test_the_folder_holds_what_is_promised(undisturbed: Ran) -> None:
    present = {path.name for path in undisturbed.folder.iterdir()}
    assert present >= {"result.json", "report.html", "audit.jsonl", "model"}
    assert {path.name for path in (undisturbed.folder / "model").iterdir()} == {
        "model.safetensors",
        "plan.json",
        "metrics.json",
        "manifest.json",
        "CARD.md",
    }


def test_the_result_has_its_shape(undisturbed: Ran) -> None:
    result = undisturbed.result
    assert misfits(result, result_shape(SITES)) == []
    assert (result["schema"], result["status"], result["seed"]) == (1, "completed", 3)
    assert [one["round"] for one in result["rounds"]] == [1, 2, 3]
    assert all([site["site"] for site in one["sites"]] == list(SITES) for one in result["rounds"])


def test_a_result_of_another_shape_is_noticed(undisturbed: Ran) -> None:
    result = undisturbed.result
    result["rounds"][1]["sites"][2]["steps"] = None
    del result["arms"]["local"]["cross_site"]["south"]["west"]
    assert misfits(result, result_shape(SITES)) == [
        "result.rounds[1].sites[2].steps is None",
        "result.arms.local.cross_site.south.west is missing",
    ]


def test_patients_are_grouped_by_what_the_dataset_knows(undisturbed: Ran) -> None:
    """Three test patients, one a site: every group is suppressed, and named as the spreadsheet has it."""
    found = undisturbed.result["subgroups"]
    groups = {field: {row["group"] for row in rows} for field, rows in found["fields"].items()}
    assert groups["site"] == set(SITES)
    assert groups["sex"] <= {"female", "male"}
    assert groups["age"] <= {"under 60", "60 and over"}
    assert groups["field_strength"] <= {"1.5 T", "3 T"}
    assert all(row["suppressed"] for rows in found["fields"].values() for row in rows)
    assert 'id="subgroups"' in (undisturbed.folder / "report.html").read_text(encoding="utf-8")


def test_the_seconds_sum_to_their_total(undisturbed: Ran) -> None:
    seconds = undisturbed.result["seconds"]
    total = seconds.pop("total")
    assert sum(seconds.values()) == pytest.approx(total, abs=1e-9)
    assert all(value > 0.0 for value in seconds.values())


def test_the_model_is_the_one_that_everything_names(undisturbed: Ran) -> None:
    folder, result = undisturbed.folder, undisturbed.result
    release = open_release(folder / "model")
    weights_file = (folder / "model" / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights_file).hexdigest() == result["model"]["sha256"]
    assert release.sha256 == result["model"]["sha256"] == result["rounds"][-1]["model_sha256"]
    assert json.loads((folder / "model" / "plan.json").read_bytes())["sequences"] == ["t1c", "flair"]
    assert release.weights.vector.size == result["model"]["parameters"]


def test_the_folder_verifies(undisturbed: Ran) -> None:
    checks = run_checks(undisturbed.folder)
    assert [check.holds for check in checks] == [True, True], checks


def test_the_report_stands_alone(undisturbed: Ran) -> None:
    page = (undisturbed.folder / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)[^"']*""", page) == []
    assert "<script" not in page
    assert "not a medical device" in page
    assert all(site in page for site in SITES)
    assert "lesion diameters multiplied by 5" in page


def test_exceptions_to_the_split_are_said(undisturbed: Ran) -> None:
    note = "site west: the hash left no patient to train on"
    assert note in undisturbed.told
    assert any(note in line for line in undisturbed.result["notes"])


def test_another_seed_gives_other_bits(tmp_path: Path, cohort: Path, undisturbed: Ran) -> None:
    config = data_config(tmp_path, cohort)
    same = run_here(config, tmp_path / "same", ("federated",))
    other = run_here(config, tmp_path / "other", ("federated",), seed=4)
    assert last_models(undisturbed.folder)["federated"] == same.result["model"]["sha256"]
    assert other.result["seed"] == 4
    assert other.result["model"]["sha256"] != same.result["model"]["sha256"]


def test_the_card_of_phantoms_says_so_and_shows_no_score_of_three_patients(undisturbed: Ran) -> None:
    card = (undisturbed.folder / "model" / "CARD.md").read_text(encoding="utf-8")
    assert card.splitlines()[2].startswith("> **Phantoms, not patients.**")
    assert undisturbed.result["model"]["sha256"] in card
    assert undisturbed.result["plan_id"] in card
    assert "Fewer than 5 test patients" in card
    metrics = json.loads((undisturbed.folder / "model" / "metrics.json").read_bytes())
    assert metrics["held_out_patients"] is None
    assert "\n".join(metrics["card"]) + "\n" == card
