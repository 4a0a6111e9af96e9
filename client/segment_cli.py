"""`fedmets-site segment`: one examination through one released model or several."""

import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from common.errors import OutputError, UserError
from common.notice import NOTICE
from common.release import Release, open_release

if TYPE_CHECKING:
    from client.lesion_report import Lesion
    from client.segmentation import SegmentationSummary


def add_segment_command(app: typer.Typer) -> None:
    """Add segment."""
    app.command()(segment)


def segment(
    model: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Released model, such as runs/demo/model.")],
    out: Annotated[Path, typer.Option(help="Mask to write, .nii or .nii.gz: 0 background, 1 the first class.")],
    image: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH", help="One for each sequence that the model reads; optional ones may lack."
        ),
    ],
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="MODEL_DIR", help="A further model, averaged with the first; may be repeated."),
    ] = None,
    probability: Annotated[Path | None, typer.Option(help="Also write the probability map, float32.")] = None,
    disagreement: Annotated[
        Path | None, typer.Option(help="Also write where several models disagree, float32, 0 to 0.5.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also write a CSV: volume, diameter, centre.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also draw the largest lesions, .png.")] = None,
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
    With --also, models that segment the same classes are averaged; they may read different sequences.
    The first one's plan then sets grid, threshold and clean-up, and the CSV says how many models find a lesion.

    Example:

    \b
        fedmets-site segment runs/demo/model \\
            --image t1c=patient/t1c.nii.gz --image flair=patient/flair.nii.gz \\
            --out mask.nii.gz --report lesions.csv

    \b
        fedmets-site segment model-a --also model-b --image t1c=t1c.nii.gz \\
            --out mask.nii.gz --disagreement spread.nii.gz --picture lesions.png
    """
    started = time.monotonic()
    images = _parse_images(image)
    command = _parse_command(brain_mask_command)
    folders = (model, *(also or ()))
    release, *others = (open_release(folder) for folder in folders)
    for folder in folders:
        _keep_out_of(folder, [path for path in (out, probability, disagreement, report, picture) if path])
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
            also=others,
            probability=probability,
            disagreement=disagreement,
            report=report,
            picture=picture,
            brain_mask=brain_mask,
            brain_mask_command=command,
            device=torch_device(device),
            say=say,
        )
    seconds = time.monotonic() - started
    tell = _as_json if as_json else _as_text
    print(tell(summary, (release, *others), out, seconds))


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


def _as_text(summary: "SegmentationSummary", releases: Sequence[Release], out: Path, seconds: float) -> str:
    count = len(summary.lesions)
    return "; ".join(
        [
            f"{out}: {count} lesion{'' if count == 1 else 's'}, {summary.total_volume_mm3:.1f} mm3 in all, "
            f"{seconds:.1f} s",
            *_removed_in_words(summary),
            *([summary.remark] if summary.remark else []),
            *_origins_in_words(releases),
            NOTICE,
        ]
    )


def _removed_in_words(summary: "SegmentationSummary") -> Iterator[str]:
    """What the clean-up took away, where it took something."""
    reasons = {"outside the brain": summary.outside_brain, "too small": summary.too_small}
    for reason, removed in reasons.items():
        if removed.lesions:
            yield f"removed as {reason}: {removed.lesions}, {removed.volume_mm3:.1f} mm3"


def _origins_in_words(releases: Sequence[Release]) -> Iterator[str]:
    if len(releases) > 1:
        yield f"mean of {len(releases)} models"
    origins = dict.fromkeys(str(one.metrics["trained_on"]) for one in releases if one.metrics.get("trained_on"))
    if origins:
        yield f"the model{'s were' if len(releases) > 1 else ' was'} trained on {' and on '.join(origins)}"


def _as_json(summary: "SegmentationSummary", releases: Sequence[Release], out: Path, seconds: float) -> str:
    several = len(releases) > 1
    return json.dumps(
        {
            "schema": 1,
            "mask": str(out),
            "model_sha256": releases[0].sha256,
            **({"models_sha256": [one.sha256 for one in releases]} if several else {}),
            "lesions": [_lesion_values(lesion) for lesion in summary.lesions],
            "total_volume_mm3": summary.total_volume_mm3,
            "removed": {
                "outside_brain": asdict(summary.outside_brain),
                "too_small": asdict(summary.too_small),
            },
            "remark": summary.remark,
            "seconds": round(seconds, 3),
            "notice": NOTICE,
        }
    )


def _lesion_values(lesion: "Lesion") -> dict[str, object]:
    """Plain values; how many models found it only where there are several."""
    values = asdict(lesion)
    if lesion.found_by is None:
        del values["found_by"]
    return values
