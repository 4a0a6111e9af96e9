from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.remainder import RemainderStore, encode_with_feedback
from client.round import answer, train_round
from client.site import Site
from common.compression import Encoding, as_sent
from common.errors import CheckpointCorrupt, FailureCode, StorageError, TrainingFailed
from common.protocol import SiteFailed, TrainTask
from common.weights import Vector, Weights
from tests.client.test_policy import PLAN, SITE, TASK

STEP = 2.0**-6  # of int8 when the largest of the 32 values is 1


def weights(*values: float) -> Weights:
    return Weights((("w", (len(values),)),), np.array(values, np.float32))


def sent(store: RemainderStore, round_id: int, *values: float) -> list[float]:
    values_sent: list[float] = encode_with_feedback(weights(*values), round_id, "int8", store).vector.tolist()
    return values_sent


def test_what_one_round_loses_the_next_ones_make_good(tmp_path: Path) -> None:
    store = RemainderStore(tmp_path)
    assert [sent(store, n, 1.0, 0.01)[1] / STEP for n in (1, 2, 3)] == [1, 0, 1]  # 0.64 + 0.64 + 0.64 = 1.92


def test_the_sum_of_what_was_sent_stays_within_half_a_step_of_what_was_learned(tmp_path: Path) -> None:
    store = RemainderStore(tmp_path)
    rounds, delta = 60, weights(1.0, 0.005, -0.02, 0.0)
    fed_back = sum(encode_with_feedback(delta, n, "int8", store).vector for n in range(1, rounds + 1))
    without = sum(as_sent(delta.vector, "int8") for _ in range(rounds))
    assert np.abs(fed_back - rounds * delta.vector).max() <= STEP / 2
    assert np.abs(without - rounds * delta.vector).max() > 19 * STEP  # 0.005 is never sent: 0.3 is missing


def descend(store: RemainderStore | None) -> float:
    """Distance to the goal after 80 steps of a tenth of the way, beside one value that jumps by 1 to and fro."""
    goal = np.linspace(-0.05, 0.05, 32, dtype=np.float32)
    place = np.zeros(32, np.float32)
    for step in range(1, 81):
        delta = np.float32(0.1) * (goal - place)
        delta[0] = (-1.0) ** step
        move: Vector = (
            as_sent(delta, "int8")
            if store is None
            else encode_with_feedback(weights(*delta), step, "int8", store).vector
        )
        place = place + move
    return float(np.linalg.norm((place - goal)[1:]))


def test_descent_arrives_with_feedback_and_not_without(tmp_path: Path) -> None:
    start = float(np.linalg.norm(np.linspace(-0.05, 0.05, 32)[1:]))
    assert descend(None) == pytest.approx(start)  # every step is under half a step of int8
    assert descend(RemainderStore(tmp_path)) < start / 4


def test_a_round_that_is_run_again_sends_the_same(tmp_path: Path) -> None:
    store = RemainderStore(tmp_path)
    first = [sent(store, n, 1.0, 0.01, 0.3) for n in (1, 2, 3)]
    assert sent(RemainderStore(tmp_path), 3, 1.0, 0.01, 0.3) == first[2]
    assert sent(RemainderStore(tmp_path), 2, 1.0, 0.01, 0.3) != first[1]  # nothing is kept of round 1 any more


def test_the_last_two_rounds_are_kept_and_none_that_was_given_up(tmp_path: Path) -> None:
    store = RemainderStore(tmp_path)

    def kept() -> list[str]:
        return sorted(path.name for path in tmp_path.iterdir())

    for round_id in (1, 2, 5):
        store.save(round_id, weights(float(round_id)))
    assert kept() == ["remainder-0002.safetensors", "remainder-0005.safetensors"]
    found = [store.before(round_id) for round_id in (2, 3, 5, 6)]
    assert [None if one is None else one.vector.tolist() for one in found] == [None, [2.0], [2.0], [5.0]]
    store.save(3, weights(3.0))
    assert kept() == ["remainder-0002.safetensors", "remainder-0003.safetensors"]


def test_a_damaged_remainder_is_named(tmp_path: Path) -> None:
    RemainderStore(tmp_path).save(1, weights(1.0))
    (tmp_path / "remainder-0001.safetensors").write_bytes(b"\x08")
    with pytest.raises(CheckpointCorrupt, match=r"remainder-0001\.safetensors.*remove it to go on"):
        RemainderStore(tmp_path).before(2)


def test_a_remainder_that_cannot_be_written_ends_the_round(tmp_path: Path) -> None:
    (tmp_path / "plan").write_text("in the way")
    with pytest.raises(StorageError, match="a file of that name is in the way"):
        RemainderStore(tmp_path / "plan").save(1, weights(1.0))


@pytest.mark.parametrize(("encoding", "value"), [("int8", np.nan), ("float16", 7e4)])
def test_what_cannot_be_encoded_is_a_failure_with_a_code(tmp_path: Path, encoding: Encoding, value: float) -> None:
    with pytest.raises(TrainingFailed, match=f"round 3: .* cannot be sent as {encoding}") as failed:
        encode_with_feedback(weights(value), 3, encoding, RemainderStore(tmp_path))
    assert failed.value.code is FailureCode.NOT_ENCODABLE
    assert list(tmp_path.iterdir()) == []


def lossy(folder: Path, encoding: Encoding) -> tuple[Site, TrainTask]:
    """The site and the task of the other tests under a plan whose updates go up like this."""
    plan = PLAN.model_copy(update={"federation": PLAN.federation.model_copy(update={"up": encoding})})
    return replace(SITE, plan=plan, state=folder), replace(TASK, plan_id=plan.fingerprint())


@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_a_rounds_update_is_what_will_arrive(tmp_path: Path, encoding: Encoding) -> None:
    site, task = lossy(tmp_path, encoding)
    exact = train_round(TASK, SITE).delta.vector
    update = train_round(task, site).delta.vector
    assert np.array_equal(update, as_sent(exact, encoding))
    assert 0 < np.abs(update - exact).max() < np.abs(exact).max() / 50
    remainder = RemainderStore(tmp_path / task.plan_id).before(2)
    assert remainder is not None
    assert np.array_equal(remainder.vector, exact - update)
    second = train_round(replace(task, round_id=2), site).delta.vector
    exact_second = train_round(replace(TASK, round_id=2), SITE).delta.vector
    assert np.array_equal(second, as_sent(exact_second + remainder.vector, encoding))
    assert not np.array_equal(second, as_sent(exact_second, encoding))


def test_exact_updates_leave_nothing_behind(tmp_path: Path) -> None:
    update = train_round(TASK, replace(SITE, state=tmp_path))
    assert update.delta.sha256() == train_round(TASK, SITE).delta.sha256()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_fails_the_round_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    site, task = lossy(tmp_path / "state", "int8")
    assert answer(task, site) == SiteFailed("north", 1, FailureCode.TRAINING_ERROR)
