"""One bar over a whole ablation: a step is a round of some training, or one prediction with a finished model."""

from simulation.progress import Progress

_BEFORE_TRAINING = ("phantoms", "preprocessing")


class RowProgress:
    """Passes the rounds of one training on as steps of the ablation; of its other stages it tells the beginning.

    Args:
        outer: of the ablation, its stage begun.
        title: begins every line: the row, and the training's seed.
    """

    def __init__(self, outer: Progress, title: str) -> None:
        self._outer, self._title, self._stage = outer, title, ""

    def stage(self, name: str, total: int, done: int = 0) -> None:  # noqa: D102 (the protocol says it)
        self._stage = name
        if name in _BEFORE_TRAINING:
            self._outer.note(f"{self._title}: {name}, {total} cases")

    def advance(self, text: str) -> None:  # noqa: D102
        if self._stage == "federated":
            self._outer.advance(f"{self._title}: {text}")

    def note(self, text: str) -> None:  # noqa: D102
        self._outer.note(f"{self._title}: {text}")
