"""What the guides tell people to write must be accepted as they write it."""

import re
from pathlib import Path

import pytest

from simulation.config import load_experiment

ROOT = Path(__file__).parents[2]


def test_the_whole_file_of_the_configuration_guide_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), re.S
    )
    (tmp_path / "guide.toml").write_text(blocks[0], encoding="utf-8")
    experiment = load_experiment(tmp_path / "guide.toml")
    assert (experiment.name, experiment.federation.rounds) == ("my-first-run", 20)


def test_every_file_that_a_guide_links_to_is_there() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_configuration_that_ships_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEDMETS_REAL_DATA", str(tmp_path))
    others = {ROOT / "configs" / name for name in ("plan.toml", "ablation.toml")}  # no experiments
    files = sorted(set((ROOT / "configs").glob("*.toml")) - others)
    assert {"demo", "study", "real_brats2013"} <= {path.stem for path in files}
    for path in files:
        assert load_experiment(path).federation.rounds > 0, path.name
