"""Sites that lack different sequences train one model, through a file; and a plan that some cannot serve."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from client.data.cache import open_prepared
from simulation.config import load_experiment
from simulation.pool import Workers
from simulation.prepare import prepare_sites
from simulation.progress import PlainProgress
from simulation.sites import CACHE_FOLDER, load_prepared, open_site
from tests.end_to_end.tiny import Ran, phantom_config, run_here

SEQUENCES = 'sequences = ["t1c", "flair", "subtraction"]'
OPTIONAL = f'{SEQUENCES}\noptional_sequences = ["flair", "subtraction"]'
UNION = (
    ('sequences = ["t1c", "flair"]', OPTIONAL),
    ("patients = 4\n", 'patients = 4\nmissing = ["subtraction"]\n'),
    ('name = "south"\n', 'name = "south"\nmissing = ["flair", "t1"]\n'),
    ('name = "west"\n', 'name = "west"\nmissing = ["t1", "subtraction"]\n'),
    ("[preprocessing]\n", "[preprocessing]\nmake_subtraction = true\n"),
    ("steps = 2\n", "steps = 1\nmodality_dropout = 0.5\n"),
    ("rounds = 3", "rounds = 1\nquorum = 0.3"),
)
REQUIRED = tuple(
    (old, new.replace(OPTIONAL, SEQUENCES).replace("modality_dropout = 0.5\n", "")) for old, new in UNION
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("union")
    return run_here(phantom_config(folder, *UNION), folder / "out", ("federated", "pooled"))


def test_sites_without_a_sequence_train_and_are_scored_as_the_others(ran: Ran) -> None:
    assert ran.finished.status == "completed"
    assert {row["outcome"] for one in ran.result["rounds"] for row in one["sites"]} == {"accepted"}
    assert ran.result["quarantine"] == {"north": {}, "south": {}, "west": {}}
    assert all(ran.result["arms"]["federated"]["per_site"][site]["cases"] for site in ("north", "south", "west"))
    assert ran.result["sequences"] == {
        "north": {"t1c": 4, "flair": 4, "subtraction": 4},
        "south": {"t1c": 3, "flair": 0, "subtraction": 3},
        "west": {"t1c": 3, "flair": 3, "subtraction": 0},
    }
    page = (ran.folder / "report.html").read_text(encoding="utf-8")
    assert "flair in 0 of 3" in page and "subtraction in 0 of 3" in page and "subtraction in 4 of 4" not in page
    plan = json.loads((ran.folder / "model" / "plan.json").read_bytes())
    assert plan["optional_sequences"] == ["flair", "subtraction"]


def test_their_channels_are_zeros_where_they_lack_and_made_where_they_can(ran: Ran) -> None:
    absent = {
        site.name: {case.absent_channels for case in open_site(ran.folder, site.name).training_cases}
        for site in load_prepared(ran.folder).sites
    }
    assert absent == {"north": {()}, "south": {(1,)}, "west": {(2,)}}
    south = open_site(ran.folder, "south").training_cases[0]
    assert not south.image[1].any() and south.image[2].any()


def test_a_made_subtraction_is_much_like_the_scanners_own(ran: Ran, tmp_path: Path) -> None:
    """North's phantoms are drawn again with their subtraction on file: the oracle of the one made."""
    edits = [edit for edit in UNION if "patients = 4" not in edit[0]]
    experiment = load_experiment(phantom_config(tmp_path, *edits))
    with Workers(1, 1) as workers:
        given = prepare_sites(experiment, tmp_path / "out", workers, PlainProgress(io.StringIO()))
    likeness = []
    for own, made in zip(given.site("north").cases, load_prepared(ran.folder).site("north").cases, strict=True):
        pair = [
            open_prepared(folder / CACHE_FOLDER, ref.key)
            for folder, ref in ((tmp_path / "out", own), (ran.folder, made))
        ]
        inside = pair[0].mask == 1
        likeness.append(np.corrcoef(pair[0].image[2][inside], pair[1].image[2][inside])[0, 1])
    assert min(likeness) > 0.95


def test_a_site_that_lacks_a_required_sequence_refuses_and_says_what(tmp_path: Path) -> None:
    ran = run_here(phantom_config(tmp_path, *REQUIRED), tmp_path / "out", ("federated",))
    assert ran.finished.status == "partial"
    assert ran.outcomes("north") == [("accepted", None)]
    assert ran.outcomes("south") == ran.outcomes("west") == [("refused", "lacks-sequence")]
    told = (
        "site south: 3 of 3 cases lack flair, which the plan requires: add the files or correct their names, or "
        'ask for a plan with optional_sequences = ["flair"]'
    )
    assert told in ran.told and told in ran.result["notes"]
