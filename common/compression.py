"""How a packed vector of weights is written into bytes: exactly, in half of them, or in a quarter.

    encoding    bytes a value   what is lost
    float32     4               nothing
    float16     2               IEEE 754 half precision: up to 2^-11 of a value, 2^-25 where it is under 2^-14
    int8        1 + 1/32        MXINT8: up to 2^-7 of the power of two at or under the largest of 32 neighbours
                                (twice that for the largest itself, near the next power of two)

int8 is the MXINT8 format of the OCP Microscaling Formats specification, version 1.0
(https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf): 32 values share a
power-of-two scale X = 2^(byte - 127), and a value is q * 2^-6 * X with q from -127 to 127. On the wire come all
scale bytes, then all values, in the vector's order; a last block may be short.

Guarantees: what `decode` gives, encoded again, decodes to the same bits, since only powers of two are multiplied.
So a sender may work with `as_sent` before anything is sent, and a federation in one process computes the very
bits of one between machines. Numbers are little-endian. Beside the result, memory is a few megabytes.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import WireError
from common.weights import Vector

Encoding: TypeAlias = Literal["float32", "float16", "int8"]
Buffer: TypeAlias = bytes | bytearray | memoryview

_BLOCK = 32  # values that share a scale, as MXINT8 has it
_CHUNK = 2**20  # values worked on at a time: a multiple of the block
_MAX_FLOAT16 = 65504.0
_HALF_CHUNK = 2**15  # its scratch stays in the second-level cache
_MAGNITUDE = np.int32(0x7FFFFFFF)
_HALF_AS_BITS = np.int32(126 << 23)  # of 0.5 as float32
_REBASE = np.int32(0xFFF - (112 << 23))  # the difference of the exponents' offsets, and the rounding
_LEAST_NORMAL = np.int32(1 << 10)  # of float16: 2^-14
_SIGN = np.int32(0x8000)
_HALVES: npt.NDArray[np.float32] = np.arange(2**16, dtype="<u2").view("<f2").astype(np.float32)  # by their bits
_NOT_FINITE = 255  # exponent field of infinity and NaN in float32; as a scale byte, NaN in MX
_LEAST_SCALE = 8  # smaller scales would need numbers so small that processors may round them to 0
_STEPS = np.ldexp(np.ones(256), np.arange(256) - 133).astype(np.float32)  # 2^-6 * X for every scale byte X
_STEPS[_NOT_FINITE] = np.nan


def encode(vector: Vector, encoding: Encoding) -> bytes:
    """Write a vector of float32 values into bytes.

    float32 carries whatever there is, NaN included; whoever receives it judges it.

    Raises:
        ValueError: NaN or infinity in float16 or int8, or a value beyond 65504 in float16.
    """
    return _ENCODERS[encoding](np.ascontiguousarray(vector))


def decode(data: Buffer, encoding: Encoding, size: int) -> Vector:
    """Read `size` values back, which may be NaN or infinite, if the sender lies.

    float32 stays in the memory of `data`: such an array may be read-only.

    Raises:
        WireError: not the number of bytes that so many values take.
    """
    expected = encoded_bytes(size, encoding)
    if memoryview(data).nbytes != expected:
        raise WireError(f"{memoryview(data).nbytes} bytes for {size} values as {encoding}, which take {expected}")
    return _DECODERS[encoding](data, size)


def as_sent(vector: Vector, encoding: Encoding) -> Vector:
    """What arrives when this vector is sent: `decode(encode(vector))`; the vector itself for float32.

    In int8, (1, 0.01, -0.3) arrives as (1, 0.015625, -0.296875): the step is 2^-6, set by the 1.

    Raises:
        ValueError: as `encode`.
    """
    return vector if encoding == "float32" else decode(encode(vector, encoding), encoding, vector.size)


def encoded_bytes(size: int, encoding: Encoding) -> int:
    """Bytes that `size` values take.

    31.2 million values: 124.8 MB as float32, 62.4 MB as float16, 32.175 MB as int8. 33 values as int8: 35 bytes,
    two of them scales.
    """
    return {"float32": 4 * size, "float16": 2 * size, "int8": size + _blocks(size)}[encoding]


def _encode_float32(vector: Vector) -> bytes:
    return vector.astype("<f4", copy=False).tobytes()


def _decode_float32(data: Buffer, size: int) -> Vector:
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def _encode_float16(vector: Vector) -> bytes:
    out = np.empty(vector.size, "<u2")
    scratch = np.empty((3, _HALF_CHUNK), np.int32)
    for start in range(0, vector.size, _HALF_CHUNK):
        part = slice(start, start + _HALF_CHUNK)
        out[part] = _halves(vector[part], scratch)
    return out.tobytes()


def _halves(values: Vector, scratch: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The bits of each value as float16, half to even; numpy's own cast is slow on values that get small there.

    A value from 2^-14 up: half of what is cut off is added to its bits, a little less unless the last bit that is
    kept is odd, and the exponent's offset goes from 127 to 15. A smaller one: its sum with 0.5 is rounded by the
    processor to a multiple of 2^-24, and counts them in its last bits. Each of the two is the smaller number where
    it is right, once the first is held at 2^-14 or above.
    """
    magnitude, tiny, halves = scratch[0, : values.size], scratch[1, : values.size], scratch[2, : values.size]
    bits = values.view(np.int32)
    np.bitwise_and(bits, _MAGNITUDE, out=magnitude)
    largest = float(magnitude.view(np.float32).max())
    if not largest <= _MAX_FLOAT16:  # NaN compares false
        raise _cannot("float16", largest)
    np.add(magnitude.view(np.float32), np.float32(0.5), out=tiny.view(np.float32))
    tiny -= _HALF_AS_BITS
    np.right_shift(magnitude, 13, out=halves)
    halves &= 1
    halves += magnitude
    halves += _REBASE
    halves >>= 13
    np.maximum(halves, _LEAST_NORMAL, out=halves)
    np.minimum(halves, tiny, out=halves)
    np.right_shift(bits, 16, out=tiny)
    tiny &= _SIGN
    halves |= tiny
    return halves


def _decode_float16(data: Buffer, size: int) -> Vector:
    out = np.empty(size, np.float32)
    received = np.frombuffer(data, "<u2")
    for start in range(0, size, _HALF_CHUNK):  # looked up: numpy's own cast is slow on small values
        part = slice(start, start + _HALF_CHUNK)
        np.take(_HALVES, received[part], out=out[part], mode="clip")
    return out


def _encode_int8(vector: Vector) -> bytes:
    out = np.empty(encoded_bytes(vector.size, "int8"), np.uint8)
    scales, values = out[: _blocks(vector.size)], out[_blocks(vector.size) :].view(np.int8)
    for part in _chunks(vector.size):
        blocks = _in_blocks(vector[part])
        # The exponent field of a float32 is 127 + floor(log2): the very scale byte that MX asks for.
        exponents = (blocks.view(np.uint32) & 0x7FFFFFFF).max(axis=1) >> 23
        if exponents.max() == _NOT_FINITE:
            raise _cannot("int8", float(np.abs(blocks).max()))
        np.maximum(exponents, _LEAST_SCALE, out=exponents)
        quotients = blocks / _STEPS[exponents][:, None]
        np.rint(quotients, out=quotients)
        np.clip(quotients, -127.0, 127.0, out=quotients)  # rounding gives 128 just below a power of two
        scales[_blocks(part.start) : _blocks(part.stop)] = exponents
        values[part] = quotients.reshape(-1)[: part.stop - part.start]
    return out.tobytes()


def _decode_int8(data: Buffer, size: int) -> Vector:
    received = np.frombuffer(data, np.uint8)
    steps, values = _STEPS[received[: _blocks(size)]], received[_blocks(size) :].view(np.int8)
    out = np.empty(size, np.float32)
    whole = size - size % _BLOCK
    with np.errstate(over="ignore"):  # -128 under the largest scale: nobody honest sends it
        for part in _chunks(whole):
            own = steps[_blocks(part.start) : _blocks(part.stop), None]
            np.multiply(values[part].reshape(-1, _BLOCK), own, out=out[part].reshape(-1, _BLOCK))
        out[whole:] = values[whole:] * steps[-1:]
    return out


def _chunks(size: int) -> Iterator[slice]:
    """Slices of at most `_CHUNK` values from 0 to `size`, each but the last of whole blocks."""
    return (slice(start, min(start + _CHUNK, size)) for start in range(0, size, _CHUNK))


def _in_blocks(values: Vector) -> Vector:
    """(blocks, 32), filled up with zeros, which change no block's largest value."""
    missing = -values.size % _BLOCK
    return (np.pad(values, (0, missing)) if missing else values).reshape(-1, _BLOCK)


def _blocks(size: int) -> int:
    return math.ceil(size / _BLOCK)


def _cannot(encoding: Encoding, largest: float) -> ValueError:
    return ValueError(f"a vector whose largest magnitude is {largest:g} cannot be sent as {encoding}")


_ENCODERS: Mapping[Encoding, Callable[[Vector], bytes]] = {
    "float32": _encode_float32,
    "float16": _encode_float16,
    "int8": _encode_int8,
}
_DECODERS: Mapping[Encoding, Callable[[Buffer, int], Vector]] = {
    "float32": _decode_float32,
    "float16": _decode_float16,
    "int8": _decode_int8,
}
