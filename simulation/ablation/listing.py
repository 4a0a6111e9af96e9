"""The rows of an ablation, for whoever wants to know their names before running one."""

import json
from typing import Any

from simulation.ablation.config import Ablation


def rows_as_json(ablation: Ablation) -> dict[str, Any]:
    """Name, group, kind, settings and seeds of every row, the base first."""
    rows = [
        {
            "name": planned.name,
            "group": planned.row.group,
            "kind": planned.row.kind,
            "set": planned.row.set,
            "against": planned.row.against,
            "seeds": list(planned.seeds),
        }
        for planned in (ablation.base, *ablation.rows)
    ]
    return {"name": ablation.base.experiment.name, "rows": rows}


def rows_as_text(ablation: Ablation) -> str:
    """One line a row."""
    names = [planned.name for planned in (ablation.base, *ablation.rows)]
    wide = max(map(len, names))
    lines = []
    for planned in (ablation.base, *ablation.rows):
        told = planned.row
        settings = ", ".join(f"{name} = {json.dumps(value)}" for name, value in told.set.items())
        count = len(planned.seeds)
        cost = {"train": f"{count} trainings", "predict": "no training", "ensemble": f"{count} models together"}
        lines.append(f"{planned.name:<{wide}}  {cost[told.kind]:<19} {settings}".rstrip())
    return "\n".join(lines)
