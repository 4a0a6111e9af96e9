"""Aggregators by name."""

from collections.abc import Callable
from typing import Protocol

from common.plan import FederationSpec
from common.weights import Vector, Weights
from server.aggregation.fedavg import FedAvg
from server.records import OptimizerState


class Mean(Protocol):
    """Takes a round's accepted updates in the order of their arrival and makes one of them.

    A weighted mean, or what a robust rule puts in its place. Its bits must not depend on the order.
    """

    @property
    def updates(self) -> int:
        """How many updates are in it."""
        ...

    def add(self, update: Vector, weight: int) -> None:
        """Add one update, (parameters,) float32.

        Raises:
            OverflowError: this update cannot be added; its site's work is declined, and the mean is as before.
        """
        ...

    def mean(self) -> Vector:
        """The updates as one, (parameters,) float32."""
        ...


class Aggregator(Protocol):
    """The server's half of a federated algorithm: from the sites' updates to the next model."""

    def empty_mean(self, parameters: int) -> Mean:
        """What the updates of one round go into."""
        ...

    def step(self, weights: Weights, mean: Vector, state: OptimizerState) -> tuple[Weights, OptimizerState]:
        """Move the model.

        Args:
            weights: of the round's incoming model; left as they are.
            mean: (parameters,) float32, the sites' differences to them as one, of this rule's `Mean`.
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
