"""Deep supervision: the same loss at every output of the network."""


def level_weights(levels: int) -> tuple[float, ...]:
    """Weights of the outputs under deep supervision, finest first: 1 / 2^i, normalised to sum 1.

    3 levels: (4/7, 2/7, 1/7). nnU-Net's coarsest output, whose weight is 0, is not built at all (build.py).
    """
    raw = [0.5**level for level in range(levels)]
    return tuple(value / sum(raw) for value in raw)
