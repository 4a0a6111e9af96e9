from pathlib import Path

import pytest

from common.errors import OutputError
from simulation.folder import claim_folder, first_difference
from tests.simulation.experiments import make_experiment


def claim(folder: Path, rounds: int = 3, workers: int = 1) -> None:
    with claim_folder(folder, make_experiment(rounds, workers)):
        (folder / "rounds").mkdir(exist_ok=True)


def test_a_folder_belongs_to_its_experiment(tmp_path: Path) -> None:
    claim(tmp_path / "deep" / "out")
    claim(tmp_path / "deep" / "out", workers=2)  # how it is run does not matter
    with pytest.raises(OutputError, match=r"another configuration \(federation\.rounds was 3, is 4\)"):
        claim(tmp_path / "deep" / "out", rounds=4)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    refusal = pytest.raises(OutputError, match="another run is writing here")
    with claim_folder(tmp_path, make_experiment()), refusal:
        claim(tmp_path)
    claim(tmp_path)


def test_a_foreign_folder_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"not made by fedmets-sim \(holds thesis\.tex\)"):
        claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_killed_while_it_claimed_the_folder_can_go_on(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".experiment.json.tmp").write_text('{"identi')
    claim(tmp_path)


def test_a_folder_without_work_may_change_hands(tmp_path: Path) -> None:
    with claim_folder(tmp_path, make_experiment(rounds=3)):
        pass  # as when the data root turns out to be wrong
    claim(tmp_path, rounds=4)
    with pytest.raises(OutputError, match=r"federation\.rounds was 4, is 3"):
        claim(tmp_path, rounds=3)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"identity": 1, "settings": 2}'])
def test_an_unreadable_record_is_refused(content: str, tmp_path: Path) -> None:
    claim(tmp_path)
    (tmp_path / "experiment.json").write_text(content)
    with pytest.raises(OutputError, match=r"experiment\.json: not readable; remove the folder"):
        claim(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "a.c was 2, is 3"),
        ({"a": 1}, {"a": 1, "b": "x"}, 'b was null, is "x"'),
        ({"sites": [{"n": 1}, {"n": 2}]}, {"sites": [{"n": 1}, {"n": 5}]}, "sites.1.n was 2, is 5"),
        ({"sites": [1]}, {"sites": [1, 2]}, "sites was [1], is [1, 2]"),
        ({"a": "x" * 90}, {"a": 1}, 'a was "' + "x" * 56 + "..., is 1"),
    ],
)
def test_the_first_difference_is_named(old: object, new: object, said: str) -> None:
    assert first_difference(old, new) == said
