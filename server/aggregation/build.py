"""Aggregators by name."""

from collections.abc import Callable
from typing import Protocol

from common.plan import FederationSpec
from common.weights import Vector, Weights
from server.aggregation.fedavg import FedAvg
from server.records import OptimizerState


class Aggregator(Protocol):
    """The server's half of a federated algorithm: from a mean update to the next model."""

    def step(self, weights: Weights, mean: Vector, state: OptimizerState) -> tuple[Weights, OptimizerState]:
        """Move the model.

        Args:
            weights: of the round's incoming model; left as they are.
            mean: (parameters,) float32 weighted mean of the sites' differences to them.
            state: what the previous step returned; empty before the first.

        Returns:
            The next weights and the state for the next step. Both are committed with the round: an aggregator
            keeps nothing of its own, so that a resumed run makes the same steps.
        """
        ...


def build_aggregator(spec: FederationSpec) -> Aggregator:
    """Build the aggregator that the plan names."""
    builders: dict[str, Callable[[FederationSpec], Aggregator]] = {
        "fedavg": lambda spec: FedAvg(),
        "fedprox": lambda spec: FedAvg(),
    }
    return builders[spec.algorithm](spec)
