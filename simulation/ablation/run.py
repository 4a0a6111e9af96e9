"""An ablation from its file to its table: the base first, then row by row; finished rows are read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import FedmetsError, StorageError
from server.records import RunStatus
from simulation.ablation.config import BASE, Ablation, PlannedRow
from simulation.ablation.output import headline, write_table
from simulation.ablation.results import RowResult, read_row, write_row
from simulation.ablation.rows import Setup, run_row, steps_done, steps_of
from simulation.ablation.table import OUT_OF_MEMORY, Failed, build_table, failure_of, unfinished
from simulation.folder import claim_folder
from simulation.logs import LOG_FILE
from simulation.pool import Workers
from simulation.progress import Progress


@dataclass(frozen=True, slots=True)
class AblationSummary:
    """How an ablation ended, for a person and for a program."""

    status: str
    text: str
    table: dict[str, Any]


def run_ablation(ablation: Ablation, folder: Path, names: Sequence[str], progress: Progress) -> AblationSummary:
    """Run the rows of these names (all for none), or go on with them, and write the table of all finished ones.

    The base is trained before anything else, and needed by everything else. A row that fails is told of, and the
    others are run all the same; the table is written anew after each. The same call later takes up what is not
    finished, a training at its round.

    Raises:
        UserError: an unknown name; a folder of another base; or the base cannot be run.
        FedmetsError: no round of the base met its quorum.
        StorageError: the disk is full; what is finished stands.
    """
    chosen, folder = ablation.choose(names), folder.resolve()
    base = ablation.base.experiment
    with (
        claim_folder(folder, base),
        Workers(base.runtime.workers, base.training.threads, folder / LOG_FILE) as workers,
    ):
        setup = Setup(ablation, folder, workers, progress)
        outcomes: dict[str, RowResult | Failed] = _known(ablation, folder)
        _begin(chosen, outcomes, setup)
        for row in chosen:
            if row.name not in outcomes:
                outcomes[row.name] = _run(row, setup)
                write_table(folder, build_table(ablation, outcomes), ablation.text)
        table = build_table(ablation, outcomes)
        write_table(folder, table, ablation.text)
    status = RunStatus.PARTIAL if unfinished(chosen, outcomes) else RunStatus.COMPLETED
    return AblationSummary(str(status), headline(table, folder), table)


def _known(ablation: Ablation, folder: Path) -> dict[str, RowResult | Failed]:
    """What earlier calls finished, and rows of other settings, which are refused; the base's refusal is raised.

    Where the base is to be trained again, predictions with its old models are no longer what they are said to be.
    """
    known: dict[str, RowResult | Failed] = {}
    for row in (ablation.base, *ablation.rows):
        try:
            found = read_row(folder, row)
        except FedmetsError as error:
            if row is ablation.base:
                raise
            known[row.name] = failure_of(error)
            continue
        if found is not None and (row.row.kind == "train" or BASE in known):
            known[row.name] = found
    return known


def _begin(chosen: Sequence[PlannedRow], outcomes: dict[str, RowResult | Failed], setup: Setup) -> None:
    left = [row for row in chosen if row.name not in outcomes]
    done = sum(steps_of(row) for row in chosen) - sum(steps_of(row) for row in left)
    partly = sum(steps_done(row, setup.folder) for row in left)
    setup.progress.stage("ablation", sum(steps_of(row) for row in chosen), done + partly)


def _run(row: PlannedRow, setup: Setup) -> RowResult | Failed:
    """One row, kept on disk when it ends; what fails is told of, but the base's failure is raised."""
    try:
        found = run_row(row, setup)
    except StorageError:
        raise  # nobody else would find room either
    except (FedmetsError, *OUT_OF_MEMORY) as error:
        if row is setup.ablation.base:
            raise
        failed = failure_of(error)
        setup.progress.note(f"row '{row.name}' failed: {failed.why}")
        return failed
    write_row(setup.folder, row, found)
    return found
