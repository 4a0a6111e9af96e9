"""The demonstration's phantoms must not be easy: intensity alone scores under half of what a network learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from client.data.adapters.build import label_rule, list_cases
from client.data.case import PreparedCase
from client.data.preprocessing import Recipe, prepare
from client.data.sampling import PatchSampler
from client.evaluation import score_cases
from client.training import fit
from common.config import DataSection
from common.metrics.scores import summarise
from common.model.build import build_model
from simulation.config import Experiment, load_experiment
from tests.simulation.phantom.cohorts import write_cohort
from tests.simulation.phantom.difficulty import best_threshold_dice

DEMO = Path(__file__).parents[2] / "configs" / "demo.toml"
PATIENTS_A_SITE, TEST_PATIENTS_A_SITE, STEPS = 5, 1, 240


def _cases(experiment: Experiment, root: Path) -> list[PreparedCase]:
    assert experiment.phantom is not None
    write_cohort(experiment.phantom, experiment.seed, root)
    section = DataSection(adapter="ucsf_bmsr", root=root)
    recipe = Recipe(experiment.sequences, experiment.preprocessing, label_rule(section, experiment.labels))
    return [prepare(case, recipe) for case in list_cases(section).cases]


@pytest.mark.slow
def test_a_threshold_scores_under_half_of_a_small_network(tmp_path: Path) -> None:
    demo = load_experiment(DEMO)
    assert demo.phantom is not None
    sites = tuple(site.model_copy(update={"patients": PATIENTS_A_SITE}) for site in demo.phantom.sites)
    experiment = demo.model_copy(update={"phantom": demo.phantom.model_copy(update={"sites": sites})})
    cases = _cases(experiment, tmp_path)
    held_out = [case for number, case in enumerate(cases) if number % PATIENTS_A_SITE < TEST_PATIENTS_A_SITE]
    training = [case for number, case in enumerate(cases) if number % PATIENTS_A_SITE >= TEST_PATIENTS_A_SITE]
    plan = experiment.plan_for(tuple(site.name for site in sites))
    model = build_model(plan.model, plan.in_channels, plan.out_channels, plan.seed)
    cpu, spec = torch.device("cpu"), plan.training.model_copy(update={"steps": STEPS})
    sampler = PatchSampler(training, spec, np.random.default_rng(plan.seed))
    fit(model, sampler, spec, first_step=0, total_steps=STEPS, device=cpu)
    network = summarise(score_cases(model, held_out, plan, "all", cpu)).dice

    # the threshold is chosen on the held-out cases themselves: the most that intensity can do
    t1c = plan.sequences.index("t1c")
    labels = [case.label for case in held_out if case.label is not None]
    threshold = best_threshold_dice([case.image[t1c] for case in held_out], labels)
    assert network is not None
    print(f"Dice of the best threshold {threshold:.3f}, of the network {network:.3f}")
    assert threshold < 0.5 * network
