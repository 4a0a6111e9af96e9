"""One round at one site. The federated loop is server/rounds.py; this is its other half.

What leaves the site is the difference between two sets of weights, counts and sums; or a code that says why
there is none.
"""

import logging
import time

import numpy as np
import torch

from client.data.sampling import PatchSampler, round_seed
from client.disclosure import reasons_that_leave, training_count_that_leaves
from client.evaluation import validation_sums
from client.policy import admit
from client.remainder import RemainderStore, encode_with_feedback
from client.site import Site
from client.training import fit, torch_seed
from common.errors import FailureCode, ModelRefused, RefusalCode, SiteRefusal, TrainingFailed
from common.model.weights import load_weights, weights_of
from common.protocol import IncomingScores, SiteAnswer, SiteFailed, SiteRefused, SiteUpdate, TrainReport, TrainTask
from common.weights import Weights

log = logging.getLogger(__name__)


def answer(task: TrainTask, site: Site) -> SiteAnswer:
    """Work on a task and reply, whatever happens.

    The site's outer edge: what went wrong is logged in the house, and only a code goes out, since the text of
    an exception may hold a path or a patient's name.
    """
    try:
        return train_round(task, site)
    except SiteRefusal as refusal:
        log.warning("round %d: %s", task.round_id, refusal)
        return SiteRefused(site.name, task.round_id, refusal.code)
    except TrainingFailed as failure:
        log.error("round %d at site %s: %s", task.round_id, site.name, failure)
        return SiteFailed(site.name, task.round_id, failure.code)
    except (MemoryError, torch.OutOfMemoryError):
        log.exception("round %d at site %s ran out of memory", task.round_id, site.name)
        return SiteFailed(site.name, task.round_id, FailureCode.OUT_OF_MEMORY)
    except Exception:
        log.exception("round %d at site %s failed", task.round_id, site.name)
        return SiteFailed(site.name, task.round_id, FailureCode.TRAINING_ERROR)


def train_round(task: TrainTask, site: Site) -> SiteUpdate:
    """Train the task's weights on the site's own cases and return the difference.

    The same task at the same site gives the same bits on a CPU: every draw follows from the plan's seed, the
    site's name and the round.

    Raises:
        SiteRefusal: the task is declined, before any data are touched.
        TrainingFailed: the loss is not finite, the update cannot be encoded as the plan has it.
    """
    start_s = time.perf_counter()
    plan, spec = site.plan, site.plan.training
    admit(task, site)
    model = _incoming_model(task, site)
    evaluate_start_s = time.perf_counter()
    incoming = _evaluate_when_due(model, task, site)  # how the common model does here rides on the update
    evaluate_seconds = time.perf_counter() - evaluate_start_s
    seed = round_seed(plan.seed, site.name, task.round_id)
    rng = np.random.default_rng(seed)
    fitted = fit(
        model,
        PatchSampler(site.training_cases, spec, rng, plan.optional_channels, plan.tumour_classes),
        spec,
        first_step=(task.round_id - 1) * spec.steps,
        total_steps=plan.federation.rounds * spec.steps,
        device=site.device,
        anchor=task.weights,
        prox_mu=plan.federation.prox_mu,
        dropout_seed=torch_seed(seed),
        tumour=plan.tumour_classes,
    )
    delta = _as_it_leaves(subtract(weights_of(model), task.weights), task, site)
    quarantined, more_quarantined = reasons_that_leave(site.quarantined, plan.evaluation.smallest_cell)
    report = TrainReport(
        cases=training_count_that_leaves(site.training_cases, plan),
        steps=fitted.steps,
        loss=fitted.loss,
        seconds=time.perf_counter() - start_s,
        train_seconds=fitted.seconds,
        evaluate_seconds=evaluate_seconds,
        incoming=incoming,
        quarantined=quarantined,
        more_quarantined=more_quarantined,
    )
    return SiteUpdate(site.name, task.plan_id, task.round_id, delta, report)


def subtract(after: Weights, before: Weights) -> Weights:
    """after - before, value by value; layouts must agree."""
    return after.with_vector(after.vector - before.vector)


def _as_it_leaves(delta: Weights, task: TrainTask, site: Site) -> Weights:
    """The values that the aggregator will read; what a lossy encoding takes away waits for the next round."""
    encoding = site.plan.federation.up
    if encoding == "float32" or site.state is None:  # `admit` has refused a lossy one without a folder
        return delta
    return encode_with_feedback(delta, task.round_id, encoding, RemainderStore(site.state / task.plan_id))


def _incoming_model(task: TrainTask, site: Site) -> torch.nn.Module:
    """The plan's network with the task's weights, on the site's device."""
    plan = site.plan
    model = site.network(plan)
    try:
        load_weights(model, task.weights)
    except ModelRefused as error:
        raise SiteRefusal(RefusalCode.MODEL_MISMATCH, site.name, str(error)) from None
    return model.to(site.device)


def _evaluate_when_due(model: torch.nn.Module, task: TrainTask, site: Site) -> IncomingScores:
    """Judge the incoming model on the validation cases: before round 1, and every so many rounds from there."""
    if (task.round_id - 1) % site.plan.evaluation.validate_every or not site.validation_cases:
        return None
    return validation_sums(model, site.validation_cases, site.plan, site.name, site.device)
