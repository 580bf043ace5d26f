"""Codec of OpenPI's wire: msgpack, in which a NumPy array is a map of its bytes, dtype and shape.

Plain numbers, texts, bytes, lists and maps are msgpack's own. An array is {b"__ndarray__": True, b"data": bytes,
b"dtype": "<f4", b"shape": [...]}, a NumPy scalar {b"__npgeneric__": True, b"data": value, b"dtype": "<f4"}. Nothing
else is ever made of a message: no pickle, no objects, no structured dtypes. What an array claims to be is held
against the bytes that are there; it is a view of them, so a message takes little more memory than its own length.

Source: openpi, packages/openpi-client (msgpack_numpy).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from vgil_ros.policies.remote.errors import WireError

ARRAY, SCALAR, DATA, DTYPE, SHAPE = b"__ndarray__", b"__npgeneric__", b"data", b"dtype", b"shape"
NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")  # the dtypes of arrays: truth values and real numbers
MOST_BYTES = 64 << 20  # of a message: four cameras of 1080p, raw, and their past
MOST_PARTS = 10_000  # maps and lists in a message; an observation has a few dozen
MOST_AXES = 8
SENT = "maps, lists, texts, bytes, numbers, and arrays of truth values and real numbers"


def pack(value: Any) -> bytes:
    """Encode a message of maps, lists, texts, bytes, numbers and NumPy arrays.

    Raises:
        WireError: for an array of another dtype than truth values and real numbers, or a value of another kind.
    """
    import msgpack

    try:
        message: bytes = msgpack.packb(value, default=_encoded)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be sent: {error}; allowed: {SENT}") from error
    return message


def unpack(message: bytes | bytearray | memoryview) -> Any:
    """Decode a message; arrays in it are read-only views of its bytes.

    Raises:
        WireError: it is no msgpack, too large, holds an extension type (a time is one), or an array in it is not what
            it claims to be.
    """
    import msgpack

    if len(message) > MOST_BYTES:
        raise WireError(f"a message has {len(message)} bytes; allowed: up to {MOST_BYTES}")
    counted = _counter()
    try:
        return msgpack.unpackb(
            message,
            strict_map_key=False,
            object_hook=lambda found: _decoded(counted(found)),
            list_hook=counted,
            ext_hook=_refused,
            max_ext_len=0,  # times are made without asking the hook
        )
    except WireError:
        raise
    except Exception as error:  # msgpack's own, Unicode's, keys that are none
        words = str(error) or type(error).__name__
        raise WireError(
            f"a message of {len(message)} bytes is not msgpack ({words}); needed is OpenPI's wire"
        ) from None


def _refused(code: int, data: bytes) -> Any:
    raise WireError(f"a message has a value of msgpack's extension type {code}; allowed: {SENT}")


def _counter() -> Callable[[Any], Any]:
    parts = 0

    def counted(found: Any) -> Any:
        nonlocal parts
        parts += 1
        if parts > MOST_PARTS:
            raise WireError(f"a message has more than {MOST_PARTS} maps and lists; allowed: up to so many")
        return found

    return counted


def _encoded(value: Any) -> dict[bytes, Any]:
    if not isinstance(value, np.ndarray | np.generic):
        raise WireError(f"cannot be sent: found {type(value).__name__}; allowed: {SENT}")
    if not NUMBERS.fullmatch(value.dtype.str):
        raise WireError(f"cannot be sent: found an array of dtype {value.dtype}; allowed: {SENT}")
    if isinstance(value, np.generic):
        return {SCALAR: True, DATA: value.item(), DTYPE: value.dtype.str}
    return {ARRAY: True, DATA: value.tobytes(), DTYPE: value.dtype.str, SHAPE: list(value.shape)}


def _decoded(found: dict[Any, Any]) -> Any:
    if ARRAY in found:
        return _array(found)
    return _scalar(found) if SCALAR in found else found


def _array(found: dict[Any, Any]) -> np.ndarray:
    data, dtype, shape = found.get(DATA), _dtype(found), found.get(SHAPE)
    if not isinstance(data, bytes) or not isinstance(shape, list):
        raise WireError(f"an array has data of type {type(data).__name__} and shape {shape}; allowed: bytes, a list")
    if len(shape) > MOST_AXES or not all(type(size) is int and size >= 0 for size in shape):
        raise WireError(f"an array has shape {str(shape)[:80]}; allowed: up to {MOST_AXES} sizes from 0")
    if (needed := math.prod(shape) * dtype.itemsize) != len(data):
        raise WireError(f"an array of shape {shape} and dtype {dtype} has {len(data)} bytes; needed are {needed}")
    return np.ndarray(tuple(shape), dtype, buffer=data)


def _scalar(found: dict[Any, Any]) -> np.generic | str:
    value = found.get(DATA)
    if isinstance(value, str):  # a NumPy text
        return value
    if not isinstance(value, bool | int | float):
        raise WireError(f"a NumPy scalar holds {type(value).__name__}; allowed: a number or a text")
    try:
        scalar: np.generic = _dtype(found).type(value)
    except (OverflowError, ValueError):
        raise WireError(f"a NumPy scalar of dtype {found[DTYPE]} holds {value}; allowed: what fits it") from None
    return scalar


def _dtype(found: dict[Any, Any]) -> np.dtype[Any]:
    name = found.get(DTYPE)
    if not isinstance(name, str) or not NUMBERS.fullmatch(name):
        raise WireError(f"an array has dtype {str(name)[:40]!r}; allowed: truth values and real numbers, such as '<f4'")
    return np.dtype(name)
