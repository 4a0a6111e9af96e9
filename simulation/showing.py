"""What the report shows beyond result.json: example slices, lesion volumes, and what the images are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from client.data.case import PreparedCase
from client.inference import predict
from client.postprocessing import clean
from client.prediction import probability_to_mask
from client.site import Site
from client.tumour import tumour_of_label, tumour_of_mask, tumour_of_reference
from common.metrics.detection import lesion_volumes_mm3
from common.metrics.scores import CaseScores
from common.model.weights import trained_network
from common.plan import Plan
from common.weights import Weights
from simulation.config import Experiment
from simulation.report.content import ReportContent, SliceExample
from simulation.report.slices import choose_cases, cut_slice
from simulation.result import Judged
from simulation.sites import open_site


def report_content(
    judged: Judged, result: Mapping[str, Any], experiment: Experiment, folder: Path, config_text: str
) -> ReportContent:
    """Gather everything for the page; predicts the few cases whose slices are shown anew."""
    sites = {site.name: open_site(folder, site.name) for site in judged.prepared.sites}
    shown = next((name for name in ("federated", "pooled", *judged.models) if name in judged.models), None)
    return ReportContent(
        name=experiment.name,
        result=result,
        config_text=config_text,
        federated_scores=judged.scores.get("federated", ()),
        lesion_volumes_mm3={name: _volumes_mm3(site) for name, site in sites.items()},
        slices=_slices(judged.models[shown], judged.scores[shown], sites) if shown else (),
        cohort=describe_cohort(experiment),
    )


def describe_cohort(experiment: Experiment) -> str:
    """What the images are, in a few words; a coarse cohort's enlarged lesions are said."""
    if experiment.phantom is None:
        assert experiment.data is not None
        return f"images read from disk ({experiment.data.adapter} layout)"
    scale = experiment.phantom.lesion_scale
    enlarged = f", lesion diameters multiplied by {scale:g} for the coarse grid" if scale != 1.0 else ""
    return f"generated phantoms, no patients{enlarged}"


def is_generated(experiment: Experiment) -> bool:
    """Whether the images are phantoms, of this run or of a cohort on disk that says of itself that it is one."""
    return experiment.data is None or (experiment.data.root / "cohort.json").is_file()


def _slices(
    weights: Weights, scores: tuple[CaseScores, ...], sites: Mapping[str, Site]
) -> tuple[SliceExample, ...]:
    site = next(iter(sites.values()))
    model = trained_network(site.plan, weights).to(site.device)
    examples = []
    for title, score, focus in choose_cases(scores):
        home = sites[score.site]
        case = next(case for case in home.test_cases if case.exam == score.exam)
        prediction = _prediction(model, case, home)
        reference = tumour_of_label(case, home.plan)
        assert reference is not None  # only cases with a reference are scored
        named = enumerate(zip(home.plan.sequences, case.image, strict=True))
        images = dict(pair for channel, pair in named if channel not in case.absent_channels)
        examples.append(
            cut_slice(title, score, images, reference, prediction, case.grid.spacing_mm, focus, case.mask)
        )
    return tuple(examples)


def _prediction(model: torch.nn.Module, case: PreparedCase, site: Site) -> npt.NDArray[np.bool_]:
    """What the finished mask shows as tumour on the prepared grid, whose axes are the page's."""
    plan = site.plan
    masked = plan.postprocessing.outside_brain == "voxels"
    patch_size = plan.training.patch_size
    probabilities = predict(model, case.image, case.mask, plan.evaluation, patch_size, site.device, masked=masked)
    mask = probability_to_mask(probabilities, plan.evaluation.threshold)
    return tumour_of_mask(clean(mask, case.grid, plan, case.mask > 0).mask, plan)


def _volumes_mm3(site: Site) -> tuple[float, ...]:
    cases = (*site.training_cases, *site.validation_cases, *site.test_cases)
    return tuple(volume for case in cases for volume in _lesions_of(case, site.plan))


def _lesions_of(case: PreparedCase, plan: Plan) -> tuple[float, ...]:
    reference = tumour_of_reference(case, plan)
    if reference is None:
        return ()
    return tuple(lesion_volumes_mm3(reference, case.native.voxel_volume_mm3))
