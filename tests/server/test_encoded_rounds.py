"""The model goes down as the plan packs it; what the server keeps stays exact."""

from pathlib import Path

import numpy as np
import pytest

from common.compression import Encoding, as_sent
from common.errors import ConfigError
from common.protocol import SiteReply, SiteUpdate, TrainTask
from server.rounds import RunResult, initial_weights, run_federation, weights_as_sent
from tests.server.builders import SITES, FakeLink, make_plan, make_report, make_weights, open_run


def run(folder: Path, link: FakeLink, down: Encoding) -> RunResult:
    return run_federation(open_run(make_plan(down=down), folder), link, on_round=lambda record: None)


def small_step(site: str, task: TrainTask) -> SiteReply:
    """An update that no encoding of the model can show within one round."""
    delta = np.full_like(task.weights.vector, 1e-5)
    return SiteUpdate(site, task.plan_id, task.round_id, task.weights.with_vector(delta), make_report())


@pytest.mark.parametrize("down", ["float16", "int8"])
def test_the_task_carries_the_model_as_it_arrives(tmp_path: Path, down: Encoding) -> None:
    link = FakeLink(behaviour=dict.fromkeys(SITES, small_step))
    result = run(tmp_path, link, down)
    start = initial_weights(make_plan()).vector
    assert np.array_equal(link.tasks[0].weights.vector, as_sent(start, down))
    assert 0 < np.abs(link.tasks[0].weights.vector - start).max() < 0.02
    # three rounds of 1e-5 arrive in the server's own weights, although the task hardly shows them
    assert np.abs(result.model.weights.vector - (start + np.float32(3e-5))).max() < 1e-7


def test_an_exact_model_goes_down_as_it_is(tmp_path: Path) -> None:
    run(tmp_path, link := FakeLink(), "float32")
    assert np.array_equal(link.tasks[0].weights.vector, initial_weights(make_plan()).vector)


def test_a_model_beyond_its_encoding_is_told_of() -> None:
    with pytest.raises(
        ConfigError, match=r"plan 'tiny': .* 70000 cannot be sent as float16; set federation\.down"
    ):
        weights_as_sent(make_weights([7e4, 1.0]), make_plan(down="float16"))


def test_bytes_are_counted_as_they_are_sent(tmp_path: Path) -> None:
    plan = make_plan(up="int8", rounds=1)
    result = run_federation(open_run(plan, tmp_path), link := FakeLink(), on_round=lambda record: None)
    size = link.tasks[0].weights.vector.size
    assert {site.bytes_up for site in result.history[0].sites} == {size + -(-size // 32)}
