"""A plan in words, for the person who decides about it: what will run, what comes in, what leaves the house."""

from common.compression import encoded_bytes
from common.plan import Plan


def what_runs(plan: Plan) -> list[str]:
    """What a site is asked to do."""
    training, rounds = plan.training, plan.federation.rounds
    patch = " x ".join(str(edge) for edge in training.patch_size)
    spacing = " x ".join(f"{edge:g}" for edge in plan.preprocessing.spacing_mm)
    held_out = f"{plan.split.test:.0%} of patients are kept for tests, {plan.split.validation:.0%} for validation"
    return [
        f"plan '{plan.name}', {plan.fingerprint()}",
        f"sites: {', '.join(plan.sites)}",
        f"cases need {', '.join(plan.required_sequences)} and a segmentation of {', '.join(plan.labels)}"
        f"{_or_coarser(plan)}; "
        f"{_may_lack(plan)}resampled to {spacing} mm here; {held_out}",
        f"{rounds} rounds of {training.steps} steps with {training.optimizer}, "
        f"{training.batch_size} patches of {patch} voxels, network {plan.model.name} {list(plan.model.widths)}",
        f"loss {training.loss}{' on coarser outputs too' if plan.model.deep_supervision else ''}; patches drawn "
        f"by '{training.sampling}'{_dropped(plan)}",
        f"scores count {', '.join(plan.evaluation.tumour or plan.labels)}, in predictions {_finished(plan)}",
        f"each round within {plan.federation.deadline_s:g} s; {plan.federation.algorithm}, at least "
        f"{plan.federation.quorum:.0%} of the sites",
        "the code that runs is the one installed here; the delivered app bundle holds none and is never opened",
    ]


def what_comes(plan: Plan, parameters: int) -> list[str]:
    """What a site receives."""
    size = encoded_bytes(parameters, plan.federation.down)
    return [f"each round the model: {parameters} weights as {plan.federation.down}, {_megabytes(size)}"]


def what_leaves(plan: Plan, parameters: int) -> list[str]:
    """What leaves a site, field by field."""
    size, cell = encoded_bytes(parameters, plan.federation.up), plan.evaluation.smallest_cell
    return [
        f"each round the change of the model's weights: {parameters} numbers as {plan.federation.up}, "
        f"{_megabytes(size)}",
        f"each round: number of training cases{_when_told(plan)}, steps, mean loss, seconds (whole, training, "
        "evaluation)",
        f"every {plan.evaluation.validate_every} round(s), over the validation cases: number of patients and "
        "exams, sums and sums of squares of Dice and false positives, lesions and lesions found by volume; "
        f"'suppressed' when of fewer than {cell} patients",
        f"number of unusable cases by reason (such as 'missing-sequence'), from {cell} on, and whether "
        "there are others; a code for a round refused or lost",
        "never: images, labels, file names, patient names or identifiers, dates, texts of errors, anything of "
        "site.toml",
        "noise is not added: whoever holds the updates may learn something about the cases from them",
    ]


def _when_told(plan: Plan) -> str:
    exact = plan.federation.weighting == "cases"
    return ", however few" if exact else f" unless of fewer than {plan.evaluation.smallest_cell} patients"


def _may_lack(plan: Plan) -> str:
    """What else is read of a case; ends with a semicolon, or is empty."""
    optional = f"{', '.join(plan.optional_sequences)} where a case has it; " if plan.optional_sequences else ""
    made = "subtraction made of t1 and t1c where a case lacks it; " if plan.preprocessing.make_subtraction else ""
    return optional + made


def _or_coarser(plan: Plan) -> str:
    """With one label there is nothing to be coarser about."""
    return " (or coarser: label_map and unannotated in site.toml)" if len(plan.labels) > 1 else ""


def _dropped(plan: Plan) -> str:
    share = plan.training.modality_dropout
    return f", each optional sequence emptied in {share:.0%} of them" if share > 0.0 else ""


def _finished(plan: Plan) -> str:
    """What becomes of a prediction before it is scored."""
    spec = plan.postprocessing
    places = {
        "voxels": "cut off at the brain mask",
        "lesions": "without lesions outside the brain",
        "keep": "as they are, outside the brain too",
    }
    small = f", without lesions under {spec.min_lesion_mm3:g} mm3" if spec.min_lesion_mm3 > 0.0 else ""
    mirrored = ", each a mean over 8 mirrorings" if plan.evaluation.mirror else ""
    return places[spec.outside_brain] + small + mirrored


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes} bytes"
