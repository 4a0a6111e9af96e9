import numpy as np
import pytest

from common.plan import FederationSpec
from server.aggregation.build import build_aggregator
from tests.server.builders import make_weights

FEDPROX = FederationSpec(algorithm="fedprox", prox_mu=0.1)


@pytest.mark.parametrize("spec", [FederationSpec(), FEDPROX])
def test_the_step_adds_the_mean_difference(spec: FederationSpec) -> None:
    weights = make_weights((1.0, -2.0))
    mean = np.array([0.3, 0.5], np.float32)
    new, state = build_aggregator(spec).step(weights, mean, {})
    assert new.vector.tolist() == [np.float32(1.3), -1.5]
    assert weights.vector.tolist() == [1.0, -2.0]
    assert dict(state) == {}
