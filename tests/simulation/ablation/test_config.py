from pathlib import Path

import pytest

from common.errors import ConfigError, UserError
from simulation.ablation.config import BASE, load_ablation
from tests.end_to_end.tiny import phantom_config

SHIPPED = Path(__file__).parents[3] / "configs" / "ablation.toml"
HEAD = "[ablation]\nbase_seeds = 3\nseeds = 2\n"
SLOW = '[[rows]]\nname = "Slow, slow"\nset = { "training.learning_rate" = 0.001 }\n'
MIRROR = '[[rows]]\nname = "mirror"\nkind = "predict"\nset = { "evaluation.mirror" = true }\n'


def config(folder: Path, rows: str) -> Path:
    path = phantom_config(folder)
    path.write_text(path.read_text(encoding="utf-8") + rows, encoding="utf-8")
    return path


def test_a_row_is_the_base_with_its_settings(tmp_path: Path) -> None:
    ablation = load_ablation(config(tmp_path, HEAD + SLOW + MIRROR), workers=2)
    slow, mirror = ablation.rows
    assert ablation.base.experiment.training.learning_rate == 0.003
    assert slow.experiment.training.learning_rate == 0.001
    assert slow.experiment.training.steps == ablation.base.experiment.training.steps
    assert mirror.experiment.evaluation.mirror
    assert [row.seeds for row in (ablation.base, slow, mirror)] == [(3, 4, 5), (3, 4), (3, 4, 5)]
    assert {row.experiment.runtime.workers for row in (ablation.base, slow, mirror)} == {2}
    assert slow.row.folder_name == "slow-slow"
    assert len({row.identity() for row in (ablation.base, slow, mirror)}) == 3


def test_a_chosen_row_brings_what_it_is_compared_with(tmp_path: Path) -> None:
    other = '[[rows]]\nname = "slower"\nagainst = "Slow, slow"\nset = { "training.learning_rate" = 0.0005 }\n'
    ablation = load_ablation(config(tmp_path, SLOW + other + MIRROR))
    assert [row.name for row in ablation.choose(["slower"])] == [BASE, "Slow, slow", "slower"]
    assert [row.name for row in ablation.choose(["mirror", "mirror"])] == [BASE, "mirror"]
    assert [row.name for row in ablation.choose([])] == [BASE, "Slow, slow", "slower", "mirror"]
    with pytest.raises(UserError, match="'slowest': there is no such row; there are: base, Slow, slow, slower"):
        ablation.choose(["slowest"])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("", "'rows' is missing"),
        (SLOW + SLOW, "rows 'Slow, slow' and 'Slow, slow' would share a folder"),
        (SLOW.replace("Slow, slow", "base"), "rows 'base' and 'base' would share a folder"),
        (
            SLOW.replace("training.learning_rate", "training.loss_rate"),
            "row 'Slow, slow': unknown key 'training.loss_rate'",
        ),
        (SLOW.replace("0.001", "-1"), "row 'Slow, slow': 'training.learning_rate': .* greater than 0, got -1"),
        (
            SLOW.replace("training.learning_rate", "training.threads").replace("0.001", "2"),
            "training.threads is the same",
        ),
        (SLOW.replace("training.learning_rate", "split.test"), "seed, split and runtime are those of the base"),
        (SLOW.replace('"training.learning_rate" = 0.001', ""), "row 'Slow, slow': changes nothing"),
        (
            MIRROR.replace("evaluation.mirror", "training.nesterov"),
            "'training.nesterov' decides over training: use 'train'",
        ),
        (MIRROR.replace('"evaluation.mirror" = true', ""), "is the base itself"),
        (
            MIRROR.replace('evaluation.mirror" = true', 'evaluation.validate_every" = 2'),
            "row 'mirror': evaluation.validate_every: does not act on a finished model",
        ),
        (
            MIRROR.replace('evaluation.mirror" = true', 'evaluation.tumour" = ["tumour"]'),
            "row 'mirror': evaluation.tumour: says what counts as a lesion",
        ),
        (
            MIRROR + 'against = "base"\n' + SLOW + 'against = "mirror"\n',
            "against = 'mirror' must be one of base, Slow",
        ),
        (SLOW + MIRROR + 'against = "Slow, slow"\n', "compared with the base alone"),
        (
            SLOW.replace("training.learning_rate", "training.patch_size").replace("0.001", "[15, 16, 16]"),
            "row 'Slow, slow'",
        ),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_name(tmp_path: Path, rows: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_ablation(config(tmp_path, rows))


def test_every_row_of_the_shipped_file_is_sound() -> None:
    ablation = load_ablation(SHIPPED)
    base = ablation.base.experiment
    assert len(ablation.base.seeds) >= 3
    assert all(len(row.seeds) >= 2 for row in ablation.rows)
    assert len({row.row.group for row in ablation.rows}) >= 5
    assert all(row.experiment.identity() != base.identity() for row in ablation.rows if row.row.kind != "ensemble")
    assert base.phantom is not None
    assert len(base.phantom.sites) == 4
