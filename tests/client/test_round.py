import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from client import round as module
from client.round import answer, subtract, train_round
from common.errors import FailureCode, RefusalCode, TrainingFailed
from common.protocol import CaseSums, SiteFailed, SiteRefused, TrainTask
from common.weights import Weights
from tests.client.test_policy import PLAN, SITE, TASK


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


def test_an_update_is_the_difference_and_a_report() -> None:
    update = train_round(TASK, replace(SITE, quarantined={}))
    assert (update.site, update.plan_id, update.round_id) == ("north", PLAN.fingerprint(), 1)
    assert update.delta.layout == TASK.weights.layout
    assert 0 < np.linalg.norm(update.delta.vector) < 10
    assert (update.report.cases, update.report.steps) == (3, 3)
    assert isinstance(update.report.incoming, CaseSums)
    assert (update.report.incoming.patients, update.report.incoming.cases) == (1, 1)
    parts = update.report.train_seconds + update.report.evaluate_seconds
    assert 0 < parts <= update.report.seconds


def test_the_same_task_gives_the_same_bits_and_another_round_others() -> None:
    first, again, other = (train_round(replace(TASK, round_id=n), SITE) for n in (1, 1, 2))
    assert first.delta.sha256() == again.delta.sha256()
    assert first.report.loss == again.report.loss
    assert first.delta.sha256() != other.delta.sha256()


def test_rounds_bring_the_loss_down() -> None:
    task, losses = TASK, []
    for round_id in range(1, 5):
        update = train_round(replace(task, round_id=round_id), SITE)
        losses.append(update.report.loss)
        task = replace(task, weights=task.weights.with_vector(task.weights.vector + update.delta.vector))
    assert losses[-1] < losses[0]


def test_the_tasks_weights_are_left_alone() -> None:
    before = TASK.weights.sha256()
    train_round(TASK, SITE)
    assert TASK.weights.sha256() == before


@pytest.mark.parametrize(("round_id", "due"), [(1, True), (2, False), (3, False), (4, True)])
def test_the_incoming_model_is_judged_when_due(round_id: int, due: bool) -> None:
    plan = PLAN.model_copy(update={"evaluation": PLAN.evaluation.model_copy(update={"validate_every": 3})})
    update = train_round(TrainTask(plan.fingerprint(), round_id, TASK.weights), replace(SITE, plan=plan))
    assert (update.report.incoming is not None) is due


def test_a_site_without_validation_cases_trains_all_the_same() -> None:
    assert train_round(TASK, replace(SITE, validation_cases=())).report.incoming is None


def test_the_difference_is_taken_value_by_value() -> None:
    layout = (("w", (2,)),)
    after, before = (Weights(layout, np.array(values, np.float32)) for values in ([3, 1], [1, 5]))
    assert subtract(after, before).vector.tolist() == [2, -4]


def test_a_refusal_goes_out_as_its_code() -> None:
    assert answer(replace(TASK, plan_id="0"), SITE) == SiteRefused("north", 1, RefusalCode.WRONG_PLAN)


def test_weights_of_another_network_are_refused() -> None:
    task = replace(TASK, weights=Weights((("w", (1,)),), np.zeros(1, np.float32)))
    assert answer(task, SITE) == SiteRefused("north", 1, RefusalCode.MODEL_MISMATCH)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TrainingFailed(FailureCode.NOT_FINITE_LOSS, "step 3"), FailureCode.NOT_FINITE_LOSS),
        (MemoryError(), FailureCode.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("8 GiB"), FailureCode.OUT_OF_MEMORY),
        (OSError("/data/Smith_John/t1c.nii.gz: gone"), FailureCode.TRAINING_ERROR),
    ],
)
def test_whatever_fails_a_code_goes_out_and_the_text_stays(
    error: Exception, code: FailureCode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "fit", raising(error))
    with caplog.at_level(logging.WARNING):
        reply = answer(TASK, SITE)
    assert reply == SiteFailed("north", 1, code)
    assert "Smith" not in repr(reply)
    assert str(error) in caplog.text


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fit", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        answer(TASK, SITE)
