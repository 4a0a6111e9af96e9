from dataclasses import replace

import pytest

from client.kept_network import KeptNetwork
from client.round import train_round
from client.site import Site
from common.plan import Plan
from common.protocol import TrainTask
from tests.client.test_policy import PLAN, SITE, TASK


def with_layout(channels_last: str) -> tuple[Site, TrainTask]:
    training = PLAN.training.model_copy(update={"channels_last": channels_last})
    plan = PLAN.model_copy(update={"training": training})
    return replace(SITE, plan=plan), TrainTask(plan.fingerprint(), 1, TASK.weights)


@pytest.mark.parametrize("channels_last", ["off", "on"])
def test_rounds_with_a_kept_network_have_the_same_bits(channels_last: str) -> None:
    site, task = with_layout(channels_last)
    network = KeptNetwork()
    kept = replace(site, network=network)
    for round_id in (1, 2, 1):
        ours, fresh = (train_round(replace(task, round_id=round_id), one) for one in (kept, site))
        assert ours.delta.sha256() == fresh.delta.sha256()
        assert ours.report.incoming == fresh.report.incoming
    assert all(parameter.is_contiguous() for parameter in network(site.plan).parameters())


def test_it_is_built_once_for_a_plan_and_anew_for_another() -> None:
    kept = KeptNetwork()
    first = kept(PLAN)
    assert kept(PLAN) is first
    other: Plan = PLAN.model_copy(update={"seed": 8})
    assert kept(other) is not first
    kept.forget()
    assert kept(PLAN) is not first
