"""The hospital's command: `fedmets-site`."""

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from client.check_cli import add_check_command
from client.compare_cli import add_compare_command
from client.plan_cli import add_plan_commands
from client.run_cli import add_run_commands
from client.score_cli import add_score_command
from client.sidecar_cli import add_sidecar_commands
from client.trust_cli import add_trust_commands
from common.cli import new_app, run_app
from common.errors import OutputError, UserError
from common.release import Release, open_release

if TYPE_CHECKING:
    from client.segmentation import SegmentationSummary

app = new_app("A hospital's end of fedmets. Research software, not a medical device.")
add_trust_commands(app)
add_check_command(app)
add_compare_command(app)
add_plan_commands(app)
add_run_commands(app)
add_score_command(app)
add_sidecar_commands(app)


@app.command()
def segment(
    model: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Released model, such as runs/demo/model.")],
    out: Annotated[Path, typer.Option(help="Mask to write, .nii or .nii.gz: 0 background, 1 the first class.")],
    image: Annotated[
        list[str], typer.Option(metavar="NAME=PATH", help="One for each sequence that the model reads.")
    ],
    probability: Annotated[Path | None, typer.Option(help="Also write the probability map, float32.")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write a CSV: volume, diameter, centre.")] = None,
    brain_mask: Annotated[Path | None, typer.Option(help="Brain mask, for images that show the skull.")] = None,
    brain_mask_command: Annotated[
        str | None, typer.Option(help="Or a program that makes one, with {image} and {mask} in its arguments.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment one examination with a released model, the `model` folder of a run.

    The images must be registered to each other; they may differ in grid and orientation.
    The mask comes back on the grid of the model's first sequence.
    Images without a skull need no brain mask.

    Example:

    \b
        fedmets-site segment runs/demo/model \\
            --image t1c=patient/t1c.nii.gz --image flair=patient/flair.nii.gz \\
            --out mask.nii.gz --report lesions.csv
    """
    started = time.monotonic()
    images = _parse_images(image)
    command = _parse_command(brain_mask_command)
    release = open_release(model)
    _keep_out_of(model, [path for path in (out, probability, report) if path is not None])
    with _progress() as say:
        say("loading the network library")
        # torch and MONAI take three seconds to import; `--help` and a mistyped option need not wait for them.
        import torch

        from client import segmentation
        from client.device import torch_device

        if threads is not None:
            torch.set_num_threads(threads)
        summary = segmentation.segment(
            release,
            images,
            out,
            probability=probability,
            report=report,
            brain_mask=brain_mask,
            brain_mask_command=command,
            device=torch_device(device),
            say=say,
        )
    seconds = time.monotonic() - started
    print(_as_json(summary, release, out, seconds) if as_json else _as_text(summary, release, out, seconds))


def main() -> None:
    """Entry point of `fedmets-site`."""
    sys.exit(run_app(app, "fedmets-site"))


def _parse_images(options: list[str]) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not (name and equals and path):
            raise UserError(f"--image {option}: not of the form NAME=PATH; write, for example, --image t1c=PATH")
        if name in images:
            raise UserError(f"--image {option}: sequence '{name}' is given twice; leave one out")
        images[name] = Path(path).expanduser()
    return images


def _parse_command(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UserError(f"--brain-mask-command '{text}': {error}; check the quotes") from None
    for place in ("{image}", "{mask}"):
        if not any(place in word for word in words):
            raise UserError(
                f"--brain-mask-command '{text}': has no {place}; write, for example, "
                "--brain-mask-command 'mri_synthstrip -i {image} -m {mask}'"
            )
    return words


def _keep_out_of(model: Path, outputs: list[Path]) -> None:
    """An output in the model's folder would make its manifest fail the next time."""
    for path in outputs:
        if model.resolve() in path.resolve().parents:
            raise OutputError(f"{path}: lies in the model's folder {model}, which must stay as released; move it")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done, on a terminal only and on stderr, so that stdout holds the result alone."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield status.update


def _as_text(summary: "SegmentationSummary", release: Release, out: Path, seconds: float) -> str:
    count = len(summary.lesions)
    origin = release.metrics.get("trained_on")
    trained = f"the model was trained on {origin}; " if origin else ""
    return (
        f"{out}: {count} lesion{'' if count == 1 else 's'}, {summary.total_volume_mm3:.1f} mm3 in all, "
        f"{seconds:.1f} s; {trained}research software, not a medical device"
    )


def _as_json(summary: "SegmentationSummary", release: Release, out: Path, seconds: float) -> str:
    return json.dumps(
        {
            "schema": 1,
            "mask": str(out),
            "model_sha256": release.sha256,
            "lesions": [asdict(lesion) for lesion in summary.lesions],
            "total_volume_mm3": summary.total_volume_mm3,
            "seconds": round(seconds, 3),
            "notice": "research software, not a medical device",
        }
    )


if __name__ == "__main__":
    main()
