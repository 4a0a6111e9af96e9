"""Federated averaging, McMahan et al. 2017, and the server's half of FedProx, Li et al. 2020.

https://arxiv.org/abs/1602.05629
https://arxiv.org/abs/1812.06127
"""

from common.weights import Vector, Weights
from server.aggregation.mean import WeightedMean
from server.records import OptimizerState


class FedAvg:
    """The next model is the weighted mean of the sites' models (Algorithm 1).

    Sites send differences to the common model, so the mean of their models is that model plus the mean
    difference: weights 1.0 and differences 0.2 and 0.4 at equal weights give 1.3.

    FedProx (Algorithm 2) is the same at the server. Its other half, the term (mu / 2) * ||w - w_round||^2 in
    every local step, is the client's duty (client/training.py).
    """

    def empty_mean(self, parameters: int) -> WeightedMean:
        """Weighted as the plan says: n_k / n in Algorithm 1."""
        return WeightedMean(parameters)

    def step(self, weights: Weights, mean: Vector, state: OptimizerState) -> tuple[Weights, OptimizerState]:
        """Add the mean difference; there is no state."""
        return weights.with_vector(weights.vector + mean), state
