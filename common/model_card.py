"""What every model card says, whoever writes it: the model, its settings, what it is for, and its limits.

The order of a card follows Mitchell et al. 2019, Model Cards for Model Reporting (doi 10.1145/3287560.3287596):
the model, its intended use, its data, its scores overall and by group, what is to be considered, how it is used. A
card holds no clock, so that the same run on the same installation writes the same bytes.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from common.markdown import bullets, code, section, table
from common.plan import Plan, Terms

NOTICE = "**Research software, not a medical device.**"
_PACKAGES = ("fedmets", "torch", "monai")
_TOLD_ELSEWHERE = ("name", "seed", "schema_version", "sequences", "labels", "sites")
_TOLD_AS_WIDTHS = "model.channels"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which model a card is about.

    Attributes:
        sha256: of model.safetensors.
        rounds: after which it was released.
        status: how the federation ended.
    """

    sha256: str
    parameters: int
    rounds: int
    status: str


def model_section(plan: Plan, identity: Identity) -> str:
    """What the model is, by which digests it is known, and what it was made with."""
    made_with = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    classes = ", ".join(f"{value} {code(name)}" for value, name in enumerate(plan.labels, start=1))
    rows = [
        ("task", "segmentation of tumour in three-dimensional MRI of the brain, made for metastases"),
        ("input", f"{_inputs(plan)}; skull-stripped, registered to one another"),
        ("output", f"a label file: 0 background, {classes}"),
        ("network", f"{code(plan.model.name)}, {identity.parameters:,} parameters"),
        (
            "released after",
            f"round {identity.rounds} of {plan.federation.rounds}; the federation is {identity.status}",
        ),
        ("sha256 of the weights", code(identity.sha256)),
        ("sha256 of the plan", code(plan.fingerprint())),
        ("seed", code(plan.seed)),
        ("made with", f"{made_with}, Python {platform.python_version()}"),
        (
            "licence",
            "Apache-2.0 for the software; the terms of the training data decide who may have the weights",
        ),
    ]
    return section("Model", table(("", ""), rows))


def _inputs(plan: Plan) -> str:
    """The sequences in the order of the channels, and which of them an exam may lack."""
    return ", ".join(
        f"{code(name)} (may be missing)" if name in plan.optional_sequences else code(name)
        for name in plan.sequences
    )


def intended_use_section() -> str:
    """What the model is for and what it is not for."""
    return section(
        "Intended use",
        f"{NOTICE} It is meant for research on segmentation and on federated training, by people who check every "
        "mask.",
        bullets(
            [
                "Not for diagnosis, treatment planning, triage or follow-up of a patient. No regulator has seen "
                "it.",
                "Not for telling metastases from other lesions: glioma, meningioma, abscess, infarct, bleeding "
                "and radiation necrosis may be marked as well.",
                "Not for deciding that an exam is free of metastases: small ones are missed most.",
            ]
        ),
    )


def settings_section(plan: Plan) -> str:
    """Network, loss, sampling, rounds and preprocessing, and every other setting that is not at its default."""
    values, defaults = _flat(plan), _flat(Terms(name=plan.name, sequences=plan.sequences))
    rows = [(what, code(_written(values[key]))) for key, what in _SETTINGS.items() if key in values]
    rows.insert(1, ("width by stage", code(_written(list(plan.model.widths)))))
    others = [
        f"{code(key)} = {code(_written(value))}"
        for key, value in values.items()
        if key not in (*_SETTINGS, _TOLD_AS_WIDTHS)
        and key.split(".")[0] not in _TOLD_ELSEWHERE
        and value != defaults.get(key)
    ]
    return section(
        "Training",
        table(("setting", ""), rows),
        f"Other settings that are not at their defaults: {', '.join(others)}." if others else "",
        f"All settings stand in {code('plan.json')}. Learning is federated ({code(plan.federation.algorithm)}): "
        "the sites' updates are averaged, their images stay where they are. No noise is added and aggregation is "
        "not secret: the weights may hold traces of training patients.",
    )


def limits_section(*own: str) -> str:
    """What was not tested and what misleads; `own` are the limits of this model, said first."""
    return section(
        "Limits",
        bullets(
            [
                *own,
                "Nothing is known of patients unlike those of the sites: other scanners, fields, protocols and "
                "contrast doses, thick slices, children, operated or irradiated brains. No site was held out "
                "whole. The model gives a mask for any image and does not warn.",
                "What counts as tumour is the convention of those who drew the training labels: whether necrosis, "
                "resection cavities or oedema belong to it, and from which size on a spot is drawn. A model is no "
                "better than that, and scores against labels of another convention are lower.",
                "Probabilities are not calibrated. Lesions that touch count as one.",
                "Not tested: readers with and without the model, time saved, any effect on patients, motion and "
                "artefacts, exams without contrast agent.",
            ]
        ),
    )


def use_section(sequences: Sequence[str]) -> str:
    """The command that applies the model."""
    images = " ".join(f"--image {name}={name}.nii.gz" for name in sequences)
    return section(
        "Use",
        f"```\nfedmets-site segment MODEL_FOLDER {images} --out mask.nii.gz --report lesions.csv\n```",
        f"The first image's grid is the mask's. Images with a skull need {code('--brain-mask')}. Every file of "
        "the folder is checked against its sha256 before anything is used.",
    )


_SETTINGS: Mapping[str, str] = {
    "model.name": "network",
    "model.deep_supervision": "deep supervision",
    "preprocessing.spacing_mm": "voxels in mm, to which images are resampled",
    "training.patch_size": "patch in voxels",
    "training.batch_size": "patches a step",
    "training.steps": "steps a round at a site",
    "federation.rounds": "rounds",
    "training.loss": "loss",
    "training.sampling": "sampling",
    "training.foreground_share": "share of patches on a lesion",
    "training.optimizer": "optimiser",
    "training.learning_rate": "learning rate",
    "training.schedule": "its schedule",
    "federation.weighting": "sites are weighted by",
    "split.test": "share of patients held out for tests",
    "split.validation": "share of patients for validation",
    "evaluation.window_overlap": "overlap of windows when predicting",
    "evaluation.window_weights": "weights where windows overlap",
    "evaluation.mirror": "mirroring when predicting",
    "evaluation.threshold": "threshold on the probability",
}


def _flat(terms: Terms) -> dict[str, Any]:
    """Every setting by its dotted name, as in the configuration file."""
    flat: dict[str, Any] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                add(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = value

    add("", terms.model_dump(mode="json"))
    return flat


def _written(value: Any) -> str:
    """A setting as a person would write it: true as yes, a list with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_written(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
