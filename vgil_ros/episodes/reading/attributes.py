"""Attributes of a file that others made: each of a known meaning comes out in its own type, or is named."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5t

from vgil_ros.episodes.errors import EpisodeError

MOST_BYTES = 4 << 20  # of one attribute; a contract is a few thousand
UNTOLD = "nobody said why"
TEXT = h5py.string_dtype()
TRUE, FALSE = ("true", "yes", "1", "success"), ("false", "no", "0", "failure")


def read_attributes(item: h5py.File | h5py.Dataset, path: Path, only: Collection[str] | None = None) -> dict[str, Any]:
    """Return all attributes of a file or dataset; text is str, and those in `KNOWN` have their own type.

    One that says that there is nothing to say (`aborted` is false) is left out.

    Args:
        only: names of those that are wanted; None: all.

    Raises:
        EpisodeError: naming an attribute that cannot be read, is too large, or is not what it must be.
    """
    found: dict[str, Any] = {}
    for name in item.attrs if only is None else (name for name in only if h5a.exists(item.id, _raw(name))):
        try:
            made = h5a.open(item.id, _raw(name))
            shape, kind = made.shape, made.get_type()
            size = math.prod(shape or ()) * kind.get_size()  # numpy's dtype takes longer
            if size > MOST_BYTES:
                raise EpisodeError(f"{_where(path, name)} takes {size} bytes; allowed: up to {MOST_BYTES}")
            found[name] = _plain(item.attrs[name] if shape is None else _value(item, name, made, shape, kind))
        except EpisodeError:
            raise
        except Exception as error:  # whatever HDF5 or h5py stumbles over in a damaged file
            raise EpisodeError(f"{_where(path, name)} cannot be read, the file is damaged there ({error})") from error
        if name in KNOWN:
            read, allowed = KNOWN[name]
            try:
                found[name] = read(found[name])
            except (TypeError, ValueError, OverflowError) as error:
                raise EpisodeError(f"{_where(path, name)} is {_short(found[name])}; allowed: {allowed}") from error
    return {name: value for name, value in found.items() if value is not None}


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _value(item: h5py.File, name: str, made: h5a.AttrID, shape: tuple[int, ...], kind: h5t.TypeID) -> Any:
    """What `item.attrs[name]` gives; text and single numbers in a quarter of the time that h5py's own way takes."""
    if isinstance(kind, h5t.TypeStringID) and kind.is_variable_str() and kind.get_cset() == h5t.CSET_UTF8:
        texts = np.empty(shape, TEXT)
        made.read(texts, mtype=_in_memory(TEXT))
        words = [raw.decode("utf-8", "surrogateescape") for raw in texts.flat]
        return words[0] if shape == () else np.array(words, TEXT).reshape(shape)
    if shape == () and isinstance(kind, (h5t.TypeFloatID, h5t.TypeIntegerID, h5t.TypeEnumID)):
        dtype = kind.dtype
        if dtype.metadata is None:  # else it is an enumeration of others, whose words are of use to nobody here
            number = np.empty((), dtype)
            made.read(number, mtype=_in_memory(dtype))
            return number[()]
    return item.attrs[name]


@lru_cache(maxsize=64)
def _in_memory(dtype: np.dtype) -> h5t.TypeID:
    """HDF5's type of numpy's; making it anew takes as long as reading a number."""
    return h5t.py_create(dtype)


def _where(path: Path, name: str) -> str:
    return f"{path}: attribute {name if name.isprintable() else ascii(name)}"


def truth(value: Any) -> bool:
    """Return a truth value, also where it is a number or a word for one.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, str) and value.strip().lower() in (*TRUE, *FALSE):
        return value.strip().lower() in TRUE
    number = _number(value)
    if number not in (0.0, 1.0):
        raise ValueError
    return number == 1.0


def _reason(value: Any) -> str | None:
    """Why something was, as text; None where a truth value, or a word for one, says that it was not."""
    if isinstance(value, str):
        text = _line(value).strip()
        return None if text.lower() in ("", *FALSE) else UNTOLD if text.lower() in TRUE else text
    return UNTOLD if truth(value) else None


def _rate(value: Any) -> float:
    number = _number(value)
    if not 0.0 < number <= 100_000.0:
        raise ValueError
    return number


def _count(value: Any) -> int:
    number = _number(value)
    if number < 0 or number != int(number):
        raise ValueError
    return int(number)


def _number(value: Any) -> float:
    if isinstance(value, str) or np.size(value) != 1:
        raise ValueError
    return float(np.asarray(value).item())


def _names(value: Any) -> tuple[str, ...]:
    words = [_plain(word) for word in np.atleast_1d(np.asarray(value, object)).ravel().tolist()]
    if not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError
    return tuple(words)


def _line(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return "".join(letter if letter.isprintable() else " " for letter in value)


def _lines(value: Any) -> tuple[str, ...]:
    return tuple(_line(_plain(word)) for word in np.atleast_1d(np.asarray(value, object)).ravel().tolist())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _alignment(value: Any) -> str:
    if value not in ("same_stamp", "after_observation", "next_frame"):
        raise ValueError
    return str(value)


KNOWN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "success": (truth, "a truth value, or yes or no"),
    "aborted": (_reason, "the reason as text, or a truth value"),
    "sim": (truth, "a truth value"),
    "compress": (truth, "a truth value"),
    "rate_hz": (_rate, "a number above 0"),
    "rows_held": (_count, "a count"),
    "rows_dropped": (_count, "a count"),
    "streams": (_names, "names"),
    "joint_names": (_names, "names"),
    "vector_names": (_names, "names"),
    "camera_names": (_names, "names"),
    "depth_names": (_names, "names"),
    "format": (_line, "text"),
    "robot": (_line, "text"),
    "task": (_line, "text"),
    "tasks": (_lines, "texts"),
    "contract": (_text, "text"),
    "color_order": (_line, "text"),
    "jpeg_order": (_line, "text"),
    "action_alignment": (_alignment, "same_stamp, after_observation or next_frame"),
}


def _plain(value: Any) -> Any:
    """Text as str that can be printed in any case; all else as h5py gives it."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
