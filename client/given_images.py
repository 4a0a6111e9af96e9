"""Whether the images that somebody gives fit a model, and what the model will do without."""

from collections.abc import Mapping
from pathlib import Path

from client.data.channels import POST_CONTRAST, PRE_CONTRAST, SUBTRACTION, Channels, channels_for
from common.errors import ModelRefused
from common.plan import Plan


def check_images(plan: Plan, images: Mapping[str, Path], brain_mask: Path | None) -> Channels:
    """Tell where the model's channels will come from, before anything is read.

    An optional sequence may be left out. A subtraction that the plan has made may be left out too where t1 and t1c
    are given; t1 is then welcome even if the model does not read it itself.

    Args:
        plan: the model's.
        images: file by sequence name.
        brain_mask: likewise a file, or None.

    Raises:
        ModelRefused: a required sequence is missing, an image is one too many, a file is not there, or one file is
            given twice.
    """
    found = channels_for(images.keys(), plan)
    reads = _what_it_reads(plan)
    if found.lacking:
        name = found.lacking[0]
        raise ModelRefused(
            f"no image of sequence '{name}': {reads}; add --image {name}=PATH{_or_make(name, plan)}"
        )
    for name, path in images.items():
        if name not in found.read:
            raise ModelRefused(f"sequence '{name}' ({path}) is one too many: {reads}; leave it out")
    for path in [*images.values(), *([brain_mask] if brain_mask else [])]:
        if not path.is_file():
            raise ModelRefused(f"{path}: no such image file; check the path")
    _refuse_one_file_twice(images)
    return found


def in_words(found: Channels, plan: Plan) -> str:
    """What an answer says of channels that were not given: "without flair: ..."; empty when all were.

    That training emptied channels is known of a plan with modality dropout alone; without it, cases that lacked
    one may have been trained on, or may not.
    """
    said = [f"{name} made of {POST_CONTRAST} and {PRE_CONTRAST}" for name in found.made]
    if found.absent:
        trained = plan.training.modality_dropout > 0.0
        what = "the model was trained to do without" if trained else "its plan allows it, without modality dropout"
        said.append(f"without {' and '.join(found.absent)}: {what}")
    return "; ".join(said)


def _what_it_reads(plan: Plan) -> str:
    optional = f", and {', '.join(plan.optional_sequences)} if there is one" if plan.optional_sequences else ""
    return f"this model reads {', '.join(plan.required_sequences)}{optional}"


def _or_make(name: str, plan: Plan) -> str:
    if name != SUBTRACTION or not plan.preprocessing.make_subtraction:
        return ""
    return f", or both {POST_CONTRAST} and {PRE_CONTRAST} to have it made"


def _refuse_one_file_twice(images: Mapping[str, Path]) -> None:
    names = list(images)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if images[name].samefile(images[other]):
                raise ModelRefused(
                    f"{images[name]}: given both as {name} and as {other}; give each sequence's own"
                )
