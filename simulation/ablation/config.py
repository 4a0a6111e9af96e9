"""The file of an ablation: an experiment, and rows that each change a few of its settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, JsonValue, model_validator

from common.config import read_toml, validate
from common.errors import ConfigError, UserError
from common.schema import Frozen, canonical_json
from simulation.ablation.settings import with_settings
from simulation.config import Experiment, experiment_of
from simulation.rescoring import AFTER_TRAINING, require_after_training

BASE = "base"
Kind: TypeAlias = Literal["train", "predict", "ensemble"]


class Row(Frozen):
    """One line of the table, as the file has it.

    Attributes:
        name: what the table calls it, and `--row`.
        group: heading under which the table shows it.
        kind: `train` makes models of its own; `predict` predicts with the base's models under other settings;
            `ensemble` lets the base's models predict together.
        set: value by dotted name, such as "training.loss" = "tversky".
        against: the row that it is compared with.
        why: a sentence for whoever reads the table.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    group: str = ""
    kind: Kind = "train"
    set: dict[str, JsonValue] = {}
    against: str = BASE
    why: str = ""

    @model_validator(mode="after")
    def _changes_what_it_may(self) -> "Row":
        early = [name for name in self.set if name.split(".")[0] not in AFTER_TRAINING]
        if self.kind != "train" and early:
            raise ValueError(
                f"kind = '{self.kind}' trains nothing, and '{early[0]}' decides over training: use 'train'"
            )
        if self.kind == "predict" and not self.set:
            raise ValueError("kind = 'predict' without a setting is the base itself: give one in set")
        if self.kind != "train" and self.against != BASE:
            raise ValueError(f"kind = '{self.kind}' uses the base's models and is compared with the base alone")
        return self

    @property
    def folder_name(self) -> str:
        """ "loss: Tversky" is loss-tversky."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "row"


class AblationSection(Frozen):
    """How often everything is trained: seeds of the base, and of every other row, from the file's own seed up."""

    base_seeds: Annotated[int, Field(ge=1, le=50)] = 4
    seeds: Annotated[int, Field(ge=1, le=50)] = 2


class _Rows(Frozen):
    ablation: AblationSection = AblationSection()
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rows_have_names_of_their_own(self) -> "_Rows":
        taken = {BASE: BASE}
        for row in self.rows:
            if row.folder_name in taken:
                raise ValueError(
                    f"rows '{taken[row.folder_name]}' and '{row.name}' would share a folder: rename one"
                )
            taken[row.folder_name] = row.name
        trained = (BASE, *(row.name for row in self.rows if row.kind == "train"))
        for row in self.rows:
            if row.against not in trained or row.against == row.name:
                raise ValueError(
                    f"row '{row.name}': against = '{row.against}' must be one of {', '.join(trained)}"
                )
        return self


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A row and the whole experiment it stands for; its `seed` is that of the cohort and of the first training."""

    row: Row
    experiment: Experiment
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.row.name

    def identity(self) -> str:
        """All that can change a model of the row, but its seed."""
        return canonical_json([self.row.kind, self.experiment.identity()])


@dataclass(frozen=True, slots=True)
class Ablation:
    """All rows, the base first."""

    base: PlannedRow
    rows: tuple[PlannedRow, ...]
    text: str

    def named(self, name: str) -> PlannedRow:
        """The row of this name; "base" is one."""
        return next(row for row in (self.base, *self.rows) if row.name == name)

    def choose(self, names: Sequence[str]) -> tuple[PlannedRow, ...]:
        """The rows to be run for these: the base, what they are compared with, and themselves; all for none.

        Raises:
            UserError: an unknown name; those that there are are named.
        """
        known = [row.name for row in (self.base, *self.rows)]
        for name in names:
            if name not in known:
                raise UserError(f"--row {name!r}: there is no such row; there are: {', '.join(known)}")
        if not names:
            return (self.base, *self.rows)
        wanted = {BASE, *names, *(self.named(name).row.against for name in names)}
        return tuple(row for row in (self.base, *self.rows) if row.name in wanted)


def load_ablation(path: Path, workers: int | None = None) -> Ablation:
    """Read the file and check every row as an experiment of its own, before anything is computed.

    Args:
        path: an experiment file with `[[rows]]` and, where the defaults do not suit, `[ablation]`.
        workers: in place of the file's own number.

    Raises:
        ConfigError: one line that names the row and what is wrong with it.
    """
    values = read_toml(path)
    own: dict[str, Any] = {key: values.pop(key) for key in ("ablation", "rows") if key in values}
    told = validate(_Rows, own, str(path))
    base = experiment_of(with_settings(values, {}, str(path)), path, str(path), workers)
    rows = [
        PlannedRow(row, _row_experiment(values, row, path, base, workers), _seeds(base, row, told.ablation))
        for row in told.rows
    ]
    base_row = PlannedRow(Row(name=BASE), base, _first(base.seed, told.ablation.base_seeds))
    return Ablation(base_row, tuple(rows), path.read_text(encoding="utf-8"))


def _row_experiment(
    values: Mapping[str, Any], row: Row, path: Path, base: Experiment, workers: int | None
) -> Experiment:
    where = f"{path}: row '{row.name}'"
    experiment = experiment_of(with_settings(values, row.set, where), path, where, workers)
    if experiment.seed != base.seed or experiment.split != base.split or experiment.runtime != base.runtime:
        raise ConfigError(f"{where}: seed, split and runtime are those of the base, or nothing could be compared")
    if experiment.training.threads != base.training.threads:
        raise ConfigError(f"{where}: training.threads is the same in all rows, which share their worker processes")
    if row.kind == "train" and row.set == {}:
        raise ConfigError(f"{where}: changes nothing; give its settings in set")
    if row.kind != "train":
        for name in row.set:
            _require_rescorable(name, where)
    return experiment


def _require_rescorable(name: str, where: str) -> None:
    """Refuse now what could only be refused when the base has been trained."""
    try:
        require_after_training(name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _seeds(base: Experiment, row: Row, section: AblationSection) -> tuple[int, ...]:
    return _first(base.seed, section.seeds if row.kind == "train" else section.base_seeds)


def _first(seed: int, count: int) -> tuple[int, ...]:
    return tuple(range(seed, seed + count))
