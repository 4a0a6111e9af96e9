from dataclasses import replace

import pytest
import torch

from client.policy import admit
from client.site import Site
from common.errors import RefusalCode, SiteRefusal
from common.model.build import build_model
from common.model.weights import weights_of
from common.plan import AugmentationSpec, EvaluationSpec, FederationSpec, ModelSpec, Plan, TrainingSpec
from common.protocol import TrainTask
from tests.client.prepared import ball_case

PLAN = Plan(
    name="tiny",
    seed=7,
    sites=("north", "south"),
    sequences=("t1c", "flair"),
    model=ModelSpec(name="unet_small", channels=(4, 8)),
    training=TrainingSpec(
        steps=3, patch_size=(16, 16, 16), learning_rate=0.05, augmentation=AugmentationSpec(), momentum=0.9
    ),
    federation=FederationSpec(rounds=4),
    evaluation=EvaluationSpec(smallest_cell=1),
)
INT8 = PLAN.model_copy(update={"federation": FederationSpec(rounds=4, up="int8")})
SITE = Site(
    name="north",
    plan=PLAN,
    training_cases=tuple(ball_case(seed) for seed in range(3)),
    validation_cases=(ball_case(10),),
    test_cases=(),
    quarantined={},
    device=torch.device("cpu"),
)
TASK = TrainTask(
    PLAN.fingerprint(), 1, weights_of(build_model(PLAN.model, PLAN.in_channels, PLAN.out_channels, PLAN.seed))
)


@pytest.mark.parametrize(
    ("task", "site", "code", "words"),
    [
        (replace(TASK, plan_id="f" * 64), SITE, RefusalCode.WRONG_PLAN, "ffffffffffff, not of 'tiny'"),
        (replace(TASK, round_id=5), SITE, RefusalCode.STALE_ROUND, "rounds 1 to 4"),
        (replace(TASK, round_id=0), SITE, RefusalCode.STALE_ROUND, "rounds 1 to 4"),
        (TASK, replace(SITE, quarantined={"not-3d": 1}), RefusalCode.TOO_MANY_BAD_CASES, "20.0% .* allows 5.0%"),
        (
            TASK,
            replace(SITE, quarantined={"missing-sequence": 1}, lacking={"flair": 1}),
            RefusalCode.TOO_MANY_BAD_CASES,
            "20.0% .*; 1 of 5 cases lack flair, which the plan requires",
        ),
        (
            TASK,
            replace(
                SITE,
                training_cases=(),
                validation_cases=(),
                quarantined={"excluded-by-dataset": 1, "missing-sequence": 3},
                lacking={"flair": 3},
            ),
            RefusalCode.LACKS_SEQUENCE,
            "^site north refuses: lacks-sequence: 3 of 3 cases lack flair, which the plan requires: add the files",
        ),
        (TASK, replace(SITE, training_cases=()), RefusalCode.NO_TRAINING_CASES, "no case for training"),
        (
            replace(TASK, plan_id=INT8.fingerprint()),
            replace(SITE, plan=INT8),
            RefusalCode.NO_STATE,
            "go up as int8, and there is no folder",
        ),
    ],
)
def test_anything_else_is_refused_with_its_code(
    task: TrainTask, site: Site, code: RefusalCode, words: str
) -> None:
    with pytest.raises(SiteRefusal, match=words) as refusal:
        admit(task, site)
    assert refusal.value.code is code


def test_a_few_bad_cases_are_no_reason_to_refuse() -> None:
    site = replace(SITE, training_cases=SITE.training_cases * 6, quarantined={"not-3d": 1})
    assert site.bad_share == 0.05
    admit(TASK, site)
