import pytest

from client.memory_estimate import step_memory
from common.model.build import build_model, parameter_count
from common.model_spec import NetworkName
from common.plan import Plan, TrainingSpec
from tests.common.model.small_networks import NAMES, SMALL


@pytest.mark.parametrize("name", NAMES)
def test_every_networks_step_is_reckoned_without_taking_it(name: NetworkName) -> None:
    def plan(edge: int) -> Plan:
        training = TrainingSpec(patch_size=(edge, edge, edge), batch_size=1)
        return Plan(name="trial", sequences=("t1c",), sites=("here",), model=SMALL[name], training=training)

    small, large = (step_memory(plan(edge), half_precision=False) for edge in (64, 128))
    assert small.parameters == parameter_count(build_model(SMALL[name], 1, 2, seed=0))
    assert large.peak_bytes - small.peak_bytes > 7 * 64**3 * 4 * 4  # the finest features alone, 4 channels or more
