"""`fedmets-sim rescore`: a finished run's models under other settings of prediction and clean-up."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from common.errors import OutputError, UserError
from simulation.comparison_cli import as_text


class EnsembleName(StrEnum):
    """Which of a run's models are scored as one."""

    LOCAL = "local"


def add_rescore_command(app: typer.Typer) -> None:
    """Add rescore."""
    app.command()(rescore)


def rescore(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A finished run's folder.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting of [evaluation] or [postprocessing]; repeatable."
        ),
    ] = None,
    arm: Annotated[str, typer.Option(help="Which model: federated, pooled or local-SITE.")] = "federated",
    ensemble: Annotated[
        EnsembleName | None, typer.Option(help="In place of one model, the mean of every site's own.")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN_DIR", help="The same model of another run on the same patients, averaged in."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Which scores of the run to compare with; default: --arm.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write everything, case by case, as JSON.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes side by side.", min=1, max=256)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a finished run's model under other settings, or several models as one; nothing is trained.

    Prints the scores, and their difference to the run's own on the same patients with a 95 % interval.
    Only settings that act on a finished model can be changed: those of [evaluation] and [postprocessing].

    Example:

    \b
        fedmets-sim rescore runs/demo --set evaluation.mirror=true --set postprocessing.min_lesion_mm3=10
        fedmets-sim rescore runs/demo --ensemble local
    """
    from common.durable import write_durably
    from simulation.comparison import ComparedArm, compare_runs, read_arm, read_traits
    from simulation.progress import build_progress
    from simulation.rescoring import TrainedModel, local_models
    from simulation.rescoring import rescore as score_anew

    overrides = parse_settings(settings or [])
    folders = (run_dir, *(also or ()))
    check_out(out, folders)
    single = tuple(TrainedModel(folder, arm) for folder in folders)
    models = tuple(model for folder in folders for model in local_models(folder)) if ensemble else single
    own = read_arm(run_dir, against or arm)
    with build_progress(as_json=False) as progress:
        scores = score_anew(run_dir, overrides, progress, models=models, workers=workers)
    label = describe(tuple(model.arm for model in models), overrides)
    found = compare_runs(ComparedArm(run_dir, label, scores), own, read_traits(run_dir))
    found["models"] = [{"folder": str(model.folder), "arm": model.arm} for model in models]
    found["settings"] = overrides
    if out is not None:
        cases = [score.to_dict() for score in scores]
        write_durably(out, json.dumps({**found, "scores": cases}, indent=1, allow_nan=False).encode())
    print(json.dumps(found, allow_nan=False) if as_json else as_text(found))


def check_out(out: Path | None, folders: Sequence[Path]) -> None:
    """Refuse, before any work, a file that cannot be written, or that may be one of a run's own.

    Raises:
        OutputError: no such folder, no permission, or a place within a run's folder.
    """
    from client.output_paths import check_outputs

    check_outputs((), (out,), (), ())
    for folder in folders:
        if out is not None and folder.resolve() in out.resolve().parents:
            raise OutputError(f"{out}: lies in the folder of the run {folder}; write it elsewhere")


def parse_settings(options: Sequence[str]) -> dict[str, object]:
    """Settings by dotted name; a value is read as TOML, and what is none is text.

    ["evaluation.mirror=true", "postprocessing.outside_brain=lesions"] become True and "lesions".

    Raises:
        UserError: not of the form NAME=VALUE, or a name twice.
    """
    found: dict[str, object] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not (name and equals and value):
            raise UserError(
                f"--set {option}: not of the form NAME=VALUE; write, say, --set evaluation.mirror=true"
            )
        if name in found:
            raise UserError(f"--set {option}: {name} is set twice; leave one out")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = value
    return found


def describe(arms: Sequence[str], settings: Mapping[str, object]) -> str:
    """What was scored, in a few words: `mean of 3 models, evaluation.mirror = true`."""
    which = arms[0] if len(arms) == 1 else f"mean of {len(arms)} models"
    changed = [f"{name} = {json.dumps(value, default=str)}" for name, value in settings.items()]
    return ", ".join([which, *changed])
