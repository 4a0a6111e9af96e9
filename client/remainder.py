"""What a lossy encoding lost in one round is added to the next round's update: error feedback.

Seide et al. 2014, "1-Bit Stochastic Gradient Descent"; Karimireddy et al. 2019, arXiv 1901.09847. With d the
round's difference and r what is left over from earlier rounds, the site sends C(d + r) and keeps
r' = d + r - C(d + r): the sum of what was sent stays within one round's loss of the sum of what was learned.

The remainder is the site's own state. It never leaves, and it lies on disk, because a round that is run again
after a crash must give the same bits, and because another process may work on the next round.
"""

import re
from pathlib import Path

from common.compression import Encoding, as_sent
from common.durable import storage_errors, write_durably
from common.errors import CheckpointCorrupt, FailureCode, TrainingFailed
from common.weights import Weights, from_safetensors, to_safetensors

_NAME = re.compile(r"remainder-(\d{4,})\.safetensors")


class RemainderStore:
    """The remainders of one plan at one site: a file a round, of the last two rounds that were worked on.

    Two, because the last round may be asked for again: it starts from the remainder of the round before it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def before(self, round_id: int) -> Weights | None:
        """The newest remainder of a round before this one; None when there is none.

        Raises:
            CheckpointCorrupt: the file is damaged; names it.
        """
        earlier = [number for number in self._rounds() if number < round_id]
        if not earlier:
            return None
        path = self._path(max(earlier))
        with storage_errors(self._folder):
            data = path.read_bytes()
        try:
            return from_safetensors(data, path)
        except CheckpointCorrupt as error:
            raise CheckpointCorrupt(f"{error}; remove it to go on without what earlier rounds left over") from None

    def save(self, round_id: int, remainder: Weights) -> None:
        """Keep a round's remainder, on disk when this returns, and the newest one before it; no others.

        Raises:
            StorageError: the disk is full and the like; what was there before stands.
        """
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        write_durably(self._path(round_id), to_safetensors(remainder))
        kept = {round_id, *sorted(number for number in self._rounds() if number < round_id)[-1:]}
        with storage_errors(self._folder):
            for number in set(self._rounds()) - kept:  # later ones belong to a course that was given up
                self._path(number).unlink(missing_ok=True)

    def _rounds(self) -> list[int]:
        names = [_NAME.fullmatch(path.name) for path in self._folder.glob("remainder-*")]
        return [int(match.group(1)) for match in names if match]

    def _path(self, round_id: int) -> Path:
        return self._folder / f"remainder-{round_id:04d}.safetensors"


def encode_with_feedback(delta: Weights, round_id: int, encoding: Encoding, store: RemainderStore) -> Weights:
    """The update as it arrives at the aggregator; what the encoding loses is in the store for the next round.

    With int8, a step of 2^-6 and nothing left over, a difference of 0.01 goes out as 0.015625; the remainder of
    -0.005625 makes the next 0.01 a 0.004375, which goes out as 0.

    Raises:
        TrainingFailed: the update holds NaN or infinity, or more than float16 can hold (not-encodable).
        CheckpointCorrupt, StorageError: the remainder cannot be read or written.
    """
    left_over = store.before(round_id)
    wanted = delta if left_over is None else delta.with_vector(delta.vector + left_over.vector)
    try:
        sent = as_sent(wanted.vector, encoding)
    except ValueError as error:
        raise TrainingFailed(FailureCode.NOT_ENCODABLE, f"round {round_id}: {error}") from None
    store.save(round_id, delta.with_vector(wanted.vector - sent))
    return delta.with_vector(sent)
