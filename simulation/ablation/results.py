"""What became of a row, on disk: a finished row is read back and never computed again."""

import json
from dataclasses import dataclass
from pathlib import Path

from common.durable import write_durably
from common.errors import OutputError
from common.metrics.scores import CaseScores
from server.records import RunStatus
from simulation.ablation.config import PlannedRow
from simulation.ablation.effects import Scores

ROWS_FOLDER = "rows"
ROW_FILE = "row.json"


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row that was run to its end.

    Attributes:
        status: `partial` when some site's work is missing from some round, else `completed`.
        models: each model's scores on the test cases, in the order of the row's seeds; one for an ensemble.
        seconds: of its trainings and predictions, over all invocations.
        notes: what its reader must know.
    """

    status: RunStatus
    models: tuple[Scores, ...]
    seconds: float
    notes: tuple[str, ...] = ()


def row_folder(folder: Path, row: PlannedRow) -> Path:
    """Where a row's trainings and its result lie, in an ablation's folder."""
    return folder / ROWS_FOLDER / row.row.folder_name


def write_row(folder: Path, row: PlannedRow, result: RowResult) -> None:
    """Write a finished row durably; raises StorageError."""
    record = {
        "name": row.name,
        "identity": row.identity(),
        "seeds": list(row.seeds),
        "status": str(result.status),
        "seconds": result.seconds,
        "notes": list(result.notes),
        "models": [[score.to_dict() for score in scores] for scores in result.models],
    }
    write_durably(row_folder(folder, row) / ROW_FILE, json.dumps(record, indent=1).encode())


def read_row(folder: Path, row: PlannedRow) -> RowResult | None:
    """A finished row; None where it has not ended with these seeds, or its record is damaged.

    Raises:
        OutputError: the row was run with other settings.
    """
    path = row_folder(folder, row) / ROW_FILE
    try:
        record = json.loads(path.read_bytes())
        identity, seeds = str(record["identity"]), tuple(record["seeds"])
        models = tuple(tuple(CaseScores.from_dict(case) for case in cases) for cases in record["models"])
        found = RowResult(RunStatus(record["status"]), models, float(record["seconds"]), tuple(record["notes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if identity != row.identity():
        raise OutputError(
            f"{path.parent}: holds row '{row.name}' with other settings; remove it or choose another --out"
        )
    return found if seeds == row.seeds else None
