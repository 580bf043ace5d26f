"""OpenPI's wire as its description has it, in a few lines of its own: what ours is held against.

An array is a map with the keys b"__ndarray__", b"data", b"dtype" and b"shape"; a scalar one with b"__npgeneric__".
"""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np


def _out(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(type(value).__name__)


def _in(found: dict[Any, Any]) -> Any:
    if b"__ndarray__" in found:
        return np.frombuffer(found[b"data"], np.dtype(found[b"dtype"])).reshape(found[b"shape"])
    if b"__npgeneric__" in found:
        return np.dtype(found[b"dtype"]).type(found[b"data"])
    return found


def packb(value: Any) -> bytes:
    """Encode a message."""
    message: bytes = msgpack.packb(value, default=_out)
    return message


def unpackb(message: bytes) -> Any:
    """Decode a message."""
    return msgpack.unpackb(message, object_hook=_in)
