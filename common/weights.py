"""Model weights as one packed float32 vector with a layout: easy to sum, hash, clip and send.

The vector is the tensors of the state dict, in its order, flattened in C order, end to end.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.errors import CheckpointCorrupt

Vector: TypeAlias = npt.NDArray[np.float32]
Layout: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of one network.

    Attributes:
        layout: (name, shape) of every tensor, in order.
        vector: (parameters,) float32, C-contiguous.
    """

    layout: Layout
    vector: Vector

    def __post_init__(self) -> None:
        expected = size_of(self.layout)
        if self.vector.dtype != np.float32 or self.vector.shape != (expected,):
            raise ValueError(
                f"layout asks for {expected} float32 values, got {self.vector.shape} {self.vector.dtype}"
            )

    def sha256(self) -> str:
        """Hex sha256 of the safetensors file of these weights, so that `sha256sum` can check it."""
        return hashlib.sha256(to_safetensors(self)).hexdigest()

    def tensors(self) -> dict[str, Vector]:
        """Views of the vector by name, in their shapes."""
        views, start = {}, 0
        for name, shape in self.layout:
            count = math.prod(shape)
            views[name] = self.vector[start : start + count].reshape(shape)
            start += count
        return views

    def with_vector(self, vector: Vector) -> "Weights":
        """The same layout around other values."""
        return Weights(self.layout, vector)


def size_of(layout: Layout) -> int:
    """Number of values in a layout: (("w", (2, 3)), ("b", (3,))) has 9."""
    return sum(math.prod(shape) for _, shape in layout)


def pack(tensors: Mapping[str, npt.NDArray[np.generic]]) -> Weights:
    """Pack named arrays, in their order, as float32."""
    layout = tuple((name, tuple(array.shape)) for name, array in tensors.items())
    parts = [np.asarray(array, dtype=np.float32).reshape(-1) for array in tensors.values()]
    return Weights(layout, np.concatenate(parts) if parts else np.empty(0, np.float32))


def first_difference(expected: Layout, got: Layout) -> str | None:
    """Say where two layouts first differ, or None: checkpoints of other networks must not load silently."""
    for (name, shape), (other, other_shape) in zip(expected, got, strict=False):
        if name != other:
            return f"expected tensor '{name}', got '{other}'"
        if shape != other_shape:
            return f"tensor '{name}' should have shape {shape}, got {other_shape}"
    if len(expected) != len(got):
        return f"expected {len(expected)} tensors, got {len(got)}"
    return None


def to_safetensors(weights: Weights) -> bytes:
    """Serialise with the tensor order kept in the metadata (safetensors sorts names itself)."""
    names = "\n".join(name for name, _ in weights.layout)
    return save(weights.tensors(), metadata={"order": names})


def from_safetensors(data: bytes, where: Path) -> Weights:
    """Read weights back in their own order; raises CheckpointCorrupt."""
    try:
        tensors = load(data)
        header_size = int.from_bytes(data[:8], "little")
        order = _order_in(data[8 : 8 + header_size])
        return pack({name: tensors[name] for name in order})
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointCorrupt(f"{where}: not a readable weights file ({error})") from None


def _order_in(header: bytes) -> list[str]:
    return str(json.loads(header)["__metadata__"]["order"]).split("\n")
