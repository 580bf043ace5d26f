"""The codec: what its description's own few lines make of it, and what no message may do."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("msgpack")

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.remote import openpi_wire

from vgil_ros.policies.remote.errors import WireError
from vgil_ros.policies.remote.wire import MOST_PARTS, pack, unpack

NUMBERS = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
)
ARRAYS = NUMBERS.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
MESSAGES = st.recursive(
    PLAIN | st.binary() | ARRAYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Whether two messages are alike to the bit, dtypes and shapes included."""
    if isinstance(one, np.ndarray | np.generic):
        alike = isinstance(other, type(one)) and one.dtype == other.dtype and one.shape == other.shape
        return alike and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@settings(deadline=None, max_examples=150)
@given(MESSAGES)
def test_messages_are_those_of_the_description_both_ways(message: Any) -> None:
    assert same(unpack(pack(message)), message)
    assert same(unpack(openpi_wire.packb(message)), message)
    assert same(openpi_wire.unpackb(pack(message)), message)


def test_scalars_and_views() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    found = unpack(pack({"a": np.float32(0.5), "b": np.bool_(True), "c": picture[:, ::-1], "t": np.str_("words")}))
    assert found["a"] == np.float32(0.5)
    assert found["b"].dtype == bool
    np.testing.assert_array_equal(found["c"], picture[:, ::-1])
    assert found["t"] == "words"
    assert not found["c"].flags.writeable


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.zeros(2, np.complex64),
        np.zeros(2, [("a", "f4")]),
        np.array(["text"]),
        object(),
        {"deep": [np.array([None])]},
    ],
)
def test_nothing_else_is_sent(value: Any) -> None:
    with pytest.raises(WireError, match=r"cannot be sent: .*allowed: maps, lists"):
        pack(value)


def array(**changes: Any) -> dict[bytes, Any]:
    """An array's map with some parts changed."""
    usual = {"__ndarray__": True, "data": b"\0" * 8, "dtype": "<f4", "shape": [2]}
    return {key.encode(): value for key, value in (usual | changes).items()}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (array(dtype="|O"), "dtype '|O'; allowed"),
        (array(dtype="O8"), "allowed: truth values and real numbers"),
        (array(dtype="f4,f4"), "dtype 'f4,f4'"),
        (array(dtype="<c8", shape=[1]), "dtype '<c8'"),
        (array(dtype=[["a", "<f4"]]), "allowed: truth values"),
        (array(dtype=b"<f4"), "allowed: truth values"),
        (array(shape=[3]), "has 8 bytes; needed are 12"),
        (array(shape=[2**40, 2**40]), "has 8 bytes; needed are"),
        (array(shape=[-1, -2]), "allowed: up to 8 sizes from 0"),
        (array(shape=[True, 2]), "allowed: up to 8 sizes from 0"),
        (array(shape=[1] * 9), "allowed: up to 8 sizes from 0"),
        (array(shape=2), "allowed: bytes, a list"),
        (array(data="text"), "allowed: bytes, a list"),
        ({b"__npgeneric__": True, b"data": 300, b"dtype": "|u1"}, "allowed: what fits it"),
        ({b"__npgeneric__": True, b"data": [1], b"dtype": "<f4"}, "allowed: a number or a text"),
        ({b"__npgeneric__": True, b"data": 1, b"dtype": "O"}, "allowed: truth values"),
        ([[] for _ in range(MOST_PARTS + 1)], "maps and lists; allowed"),
    ],
)
def test_what_claims_to_be_an_array_and_is_none(message: Any, words: str) -> None:
    with pytest.raises(WireError) as caught:
        unpack(msgpack.packb(message))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff\0",
        b"\x91" * 5000,
        b"\xa4\xff\xff\xff\xff",
        b"\x81\x80\x01",
        b"\x01\x02",
        b"\x91\xd4\x05\x00",
        b"\x91\xc7\x00\x05",
        b"\xd6\xff\x00\x00\x00\x00",
    ],
)
def test_what_is_no_message(message: bytes) -> None:
    """Empty, reserved, a list and bytes of 4 GB, nested without end, no text, a map as key, two values; extensions."""
    with pytest.raises(WireError, match=r"is not msgpack|allowed"):
        unpack(message)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), MESSAGES, st.data())
def test_any_bytes_are_a_message_or_a_wire_error(noise: bytes, message: Any, data: st.DataObject) -> None:
    whole = bytearray(pack(message))
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for given_bytes in (noise, bytes(whole)):
        with contextlib.suppress(WireError):
            unpack(given_bytes)
