"""One experiment over several seeds: every seed a run of its own, then means with intervals over seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.durable import write_durably
from server.records import RunStatus
from simulation.config import Experiment
from simulation.folder import claim_folder
from simulation.progress import Progress
from simulation.report.study import study_markdown, summarise_study
from simulation.report.study_page import write_study
from simulation.run import Options, run_experiment
from simulation.showing import describe_cohort


@dataclass(frozen=True, slots=True)
class StudySummary:
    """How a study ended, for a person and for a program."""

    status: str
    text: str
    summary: dict[str, Any]


def run_study(
    experiment: Experiment, folder: Path, seeds: int, options: Options, progress: Progress
) -> StudySummary:
    """Run seeds experiment.seed, +1, ... in folder/seed-N and summarise them in folder/study.{html,json,md}.

    A finished seed is read back when the study is repeated; an interrupted one goes on.

    Raises:
        UserError: refused before the first round.
    """
    folder = folder.resolve()
    with claim_folder(folder, experiment):
        results = []
        for number, seed in enumerate(range(experiment.seed, experiment.seed + seeds), start=1):
            progress.note(f"seed {seed} ({number} of {seeds})")
            own = experiment.model_copy(update={"seed": seed})
            finished = run_experiment(own, folder / f"seed-{seed}", options, progress)
            progress.note(finished.text)
            results.append(finished.result)
        cohort = describe_cohort(experiment)
        summary = summarise_study(results)
        text = study_markdown(f"{experiment.name} ({cohort})", summary)
        write_durably(folder / "study.json", json.dumps({**summary, "results": results}, indent=1).encode())
        write_durably(folder / "study.md", text.encode())
        write_study(folder / "study.html", experiment.name, results, summary, options.config_text, cohort)
    return StudySummary(study_status(results), text, summary)


def study_status(results: Sequence[dict[str, Any]]) -> str:
    """`completed` when every seed is, `failed` when one failed, `partial` otherwise."""
    statuses = {str(result["status"]) for result in results}
    if RunStatus.FAILED in statuses:
        return str(RunStatus.FAILED)
    return str(RunStatus.COMPLETED if statuses == {str(RunStatus.COMPLETED)} else RunStatus.PARTIAL)
