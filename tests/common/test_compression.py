import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.compression import Encoding, as_sent, decode, encode, encoded_bytes
from common.errors import WireError
from common.weights import Vector

ENCODINGS: tuple[Encoding, ...] = ("float32", "float16", "int8")
LOSSY: tuple[Encoding, ...] = ("float16", "int8")


def vectors(largest: float) -> st.SearchStrategy[Vector]:
    """Short vectors with whatever magnitudes, zeros and subnormal numbers; some lengths end within a block."""
    values = st.floats(-largest, largest, width=32, allow_nan=False)
    return hnp.arrays(np.float32, st.integers(0, 100), elements=values)


def bits(vector: Vector) -> bytes:
    return vector.tobytes()


def mxint8(block: list[float]) -> list[float]:
    """One block as the OCP specification words it (6.3 and 5.3.4), in exact fractions."""
    largest = max(abs(Fraction(value)) for value in block)
    if not largest:
        return [0.0] * len(block)
    exponent = max(math.frexp(float(largest))[1] - 1, 8 - 127)
    step = Fraction(2) ** (exponent - 6)
    return [float(max(-127, min(127, round(Fraction(value) / step))) * step) for value in block]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(vector=vectors(65504.0))
def test_what_arrives_can_be_sent_on_without_changing_a_bit(encoding: Encoding, vector: Vector) -> None:
    once = as_sent(vector, encoding)
    assert bits(as_sent(once, encoding)) == bits(once)
    assert bits(decode(encode(once, encoding), encoding, once.size)) == bits(once)


@given(vector=vectors(float(np.finfo(np.float32).max)))
def test_int8_is_mxint8(vector: Vector) -> None:
    padded = [float(value) for value in vector]
    expected = [value for start in range(0, len(padded), 32) for value in mxint8(padded[start : start + 32])]
    assert as_sent(vector, "int8").tolist() == expected


@given(vector=vectors(65504.0))
def test_float16_is_numpys(vector: Vector) -> None:
    assert bits(as_sent(vector, "float16")) == bits(vector.astype(np.float16).astype(np.float32))


def test_float16_rounds_to_even_half_way_between_any_two_of_its_values() -> None:
    values = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)  # 0 to 65504, all there are
    between = (values[:-1] + values[1:]) / np.float32(2)
    near = [np.nextafter(between, np.float32(end)) for end in (0.0, 1e5)]
    vector = np.concatenate([values, between, *near])
    vector = np.concatenate([vector, -vector])
    assert encode(vector, "float16") == vector.astype("<f2").tobytes()


@given(vector=hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32)))
def test_float32_carries_whatever_there_is(vector: Vector) -> None:
    assert as_sent(vector, "float32") is vector
    assert bits(decode(encode(vector, "float32"), "float32", vector.size)) == bits(vector)


def test_the_bytes_are_little_endian_and_scales_come_first() -> None:
    vector = np.array([1.0, 0.01, -0.3] + 29 * [0.0] + [-4.0], np.float32)
    assert encode(vector[:1], "float32") == b"\x00\x00\x80\x3f"
    assert encode(vector[:1], "float16") == b"\x00\x3c"
    sent = encode(vector, "int8")
    assert (sent[:2], sent[2:5], sent[-1]) == (bytes([127, 129]), bytes([64, 1, 256 - 19]), 256 - 64)
    assert decode(sent, "int8", 33)[[0, 1, 2, 32]].tolist() == [1.0, 0.015625, -0.296875, -4.0]


def test_a_vector_of_several_chunks_is_the_blocks_one_by_one() -> None:
    size = 2**21 + 45
    vector = np.random.default_rng(1).standard_normal(size, dtype=np.float32)
    whole = as_sent(vector, "int8")
    for start in (0, 2**20 - 32, 2**20, 2**21, 2**21 + 32):
        assert bits(whole[start : start + 32]) == bits(as_sent(vector[start : start + 32], "int8"))
    assert np.abs(whole - vector).max() <= 4 * 2**-6  # of values up to 5.4
    assert bits(as_sent(vector, "float16")) == bits(vector.astype(np.float16).astype(np.float32))


def test_float32_is_read_where_it_lies() -> None:
    data = np.ones(40, np.float32).tobytes()
    vector = decode(data, "float32", 40)
    assert np.shares_memory(vector, np.frombuffer(data, np.float32))
    assert not vector.flags.writeable


@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_the_result_is_an_array_of_its_own(encoding: Encoding) -> None:
    data = bytearray(encode(np.ones(40, np.float32), encoding))
    vector = decode(memoryview(data), encoding, 40)
    data[:] = bytes(len(data))
    assert vector.dtype == np.float32
    assert vector.flags.writeable
    assert vector.tolist() == [1.0] * 40


@pytest.mark.parametrize(
    ("size", "float32", "float16", "int8"),
    [
        (0, 0, 0, 0),
        (1, 4, 2, 2),
        (32, 128, 64, 33),
        (33, 132, 66, 35),
        (31_200_000, 124_800_000, 62_400_000, 32_175_000),
    ],
)
def test_sizes(size: int, float32: int, float16: int, int8: int) -> None:
    assert [encoded_bytes(size, encoding) for encoding in ENCODINGS] == [float32, float16, int8]
    if size < 100:
        assert [len(encode(np.ones(size, np.float32), encoding)) for encoding in ENCODINGS] == [
            float32,
            float16,
            int8,
        ]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_wrong_number_of_bytes_is_refused(encoding: Encoding, difference: int) -> None:
    data = encode(np.ones(33, np.float32), encoding) + b"\x00"
    with pytest.raises(WireError, match=rf"bytes for 33 values as {encoding}, which take {len(data) - 1}"):
        decode(data[: len(data) - 1 + difference], encoding, 33)


@pytest.mark.parametrize("encoding", LOSSY)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_cannot_be_sent_lossily(encoding: Encoding, value: float) -> None:
    with pytest.raises(ValueError, match=f"cannot be sent as {encoding}"):
        encode(np.array([0.0, value], np.float32), encoding)


def test_float16_ends_at_65504() -> None:
    assert as_sent(np.array([-65504.0], np.float32), "float16").tolist() == [-65504.0]
    with pytest.raises(ValueError, match="65505 cannot be sent as float16"):
        encode(np.array([-65505.0], np.float32), "float16")


def test_a_liars_bytes_give_values_that_the_server_will_refuse() -> None:
    assert np.isnan(decode(bytes([255, 1]), "int8", 1)).all()
    assert decode(bytes([254, 128]), "int8", 1).tolist() == [-np.inf]
    assert decode(bytes([254, 128] + 31 * [0]), "int8", 32).tolist()[0] == -np.inf
    assert decode(bytes([0, 127]), "int8", 1).tolist() == [127 * 2.0**-133]
