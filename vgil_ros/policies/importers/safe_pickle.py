"""Read pickled NumPy statistics without running what a pickle could run.

The unpickler knows the few globals that NumPy arrays and scalars need, under the module names of NumPy 1 and 2.
Everything else is refused by name before it is looked up.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.foreign_file import LOOKED_AT, not_weights

_REMEMBERS = ("PUT", "BINPUT", "LONG_BINPUT")
MOST_BYTES = 1 << 28  # of a file of statistics; those of a thousand long episodes are a few MiB


def load_numpy_pickle(path: str | Path, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read a pickled dict of numeric NumPy arrays (or scalars, or lists of them), by name.

    Args:
        wanted: the names to take; what else stands beside them is left out, whatever it is. None: all.

    Raises:
        CheckpointError: the file cannot be read, asks for any other global (which is named), or holds something else.
    """
    try:
        with Path(path).open("rb") as file:
            head, size = file.read(LOOKED_AT), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from None
    if size > MOST_BYTES:
        raise CheckpointError(f"{path} has {size >> 20} MiB; allowed for statistics: up to {MOST_BYTES >> 20}")
    if fault := not_weights(head):
        raise CheckpointError(f"{path} {fault}")
    try:
        data = Path(path).read_bytes()
        hold_sizes(data)
        content = _NumpyUnpickler(io.BytesIO(data), str(path)).load()
    except CheckpointError:
        raise
    except Exception as error:  # a broken pickle raises nearly any kind of error
        raise CheckpointError(f"{path} cannot be read as pickled statistics: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: found a {type(content).__name__}, allowed is a dict of NumPy arrays")
    names = {_name(path, key): value for key, value in content.items()}
    taken = names if wanted is None else [name for name in names if name in wanted]
    return {name: _numeric(path, name, names[name]) for name in taken}


def hold_sizes(data: bytes) -> None:
    """Hold the lengths and places that a pickle states against its own bytes.

    The unpickler believes them, and asks for as much memory, before it reads what is there.

    Raises:
        ValueError: one of them is not borne out.
    """
    operations = pickletools.genops(data)  # which names a length beyond the end of the file
    for steps, (operation, argument, _) in enumerate(operations, 1):
        if operation.name in _REMEMBERS and isinstance(argument, int) and not 0 <= argument <= steps:
            raise ValueError(f"value number {argument} is remembered after {steps} steps; allowed: up to so many")


class _NumpyUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: str) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        allowed = _GLOBALS.get((module, name))
        if allowed is None:
            raise CheckpointError(
                f"{self._path} asks for the global {module}.{name}: refused, only NumPy arrays and scalars are read"
            )
        return allowed


def _reconstruct(kind: object, shape: tuple[int, ...], typecode: bytes | str) -> np.ndarray:
    """Stand in for NumPy's `_reconstruct`: an empty array, filled by the state that follows."""
    if kind is not _ArrayKind:
        raise CheckpointError(f"array of kind {kind!r}: refused, allowed is numpy.ndarray")
    if int(np.prod(shape)) != 0:  # NumPy writes (0,) here; the size comes with the numbers
        raise CheckpointError(f"array of shape {shape} without numbers: refused, allowed are arrays with theirs")
    return np.ndarray.__new__(np.ndarray, shape, typecode.decode("ascii") if isinstance(typecode, bytes) else typecode)


class _ArrayKind:
    """Stands for numpy.ndarray, which a pickle names and never calls."""

    def __new__(cls, *_: object) -> _ArrayKind:
        raise CheckpointError("a call of numpy.ndarray: refused, allowed are arrays with their numbers")


def _path(*parts: object) -> str:
    """Stand in for a path of pathlib, which nothing here needs: its text."""
    return "/".join(map(str, parts))


def _scalar(dtype: np.dtype, content: bytes) -> Any:
    """Stand in for NumPy's `scalar`."""
    if dtype.hasobject:
        raise CheckpointError("scalar of Python objects: refused")
    return np.frombuffer(content, dtype, count=1)[0]


def _frombuffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: Any, axis_order: Any = None) -> np.ndarray:
    """Stand in for NumPy's `_frombuffer`, which pickle protocol 5 asks for."""
    if axis_order is not None:
        raise CheckpointError("array with permuted axes: refused")
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`: how bytes are written in pickle protocols 0 to 2."""
    if encoding != "latin1":
        raise CheckpointError(f"bytes encoded as {encoding!r}: refused, allowed is latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stand in for `bytes()`: how an empty array's content is written in pickle protocols 0 to 2."""
    return b""


_GLOBALS: dict[tuple[str, str], Callable[..., Any] | type] = {
    ("numpy", "ndarray"): _ArrayKind,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
}
for _module in ("pathlib", "pathlib._local"):
    _GLOBALS |= dict.fromkeys([(_module, "PosixPath"), (_module, "WindowsPath"), (_module, "PurePosixPath")], _path)
for _core in ("numpy.core", "numpy._core"):
    _GLOBALS[_core + ".multiarray", "_reconstruct"] = _reconstruct
    _GLOBALS[_core + ".multiarray", "scalar"] = _scalar
    _GLOBALS[_core + ".numeric", "_frombuffer"] = _frombuffer


def _name(path: str | Path, key: object) -> str:
    if not isinstance(key, str):
        raise CheckpointError(f"{path}: found the key {key!r}, allowed are names")
    return key


def _numeric(path: str | Path, key: object, value: object) -> np.ndarray:
    if not isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
        raise CheckpointError(f"{path}: {key} is a {type(value).__name__}, allowed is a NumPy array")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RecursionError):
        raise CheckpointError(f"{path}: {key} is a list of lists of different lengths, allowed is an array") from None
    if array.dtype.kind not in "fiub":
        raise CheckpointError(f"{path}: {key} has dtype {array.dtype}, allowed are numbers")
    return array


def read_statistics(
    path: Path, wanted: Mapping[str, tuple[str, ...]], dims: Mapping[str, int]
) -> dict[str, dict[str, np.ndarray]]:
    """Read statistics such as `qpos_mean` without running the pickle.

    Args:
        wanted: kinds by vector, such as {"qpos": ("mean", "std")}; dims: width of each vector.

    Returns:
        Arrays (dim,) by vector and kind.

    Raises:
        CheckpointError: the file or a statistic is missing, or has another shape.
    """
    if not path.exists():
        raise CheckpointError(f"statistics {path} do not exist: without them actions have no units")
    needed = [f"{name}_{kind}" for name, kinds in wanted.items() for kind in kinds]
    statistics = load_numpy_pickle(path, needed)
    missing = [name for name in needed if name not in statistics]
    if missing:
        raise CheckpointError(f"{path}: missing {', '.join(missing)}, found {sorted(statistics)}")
    arrays = {
        name: {kind: np.atleast_1d(statistics[f"{name}_{kind}"]) for kind in kinds} for name, kinds in wanted.items()
    }
    for name, kinds in arrays.items():
        for kind, value in kinds.items():
            if value.size == dims[name] and max(value.shape) == dims[name]:
                kinds[kind] = value.reshape(-1)  # (1, D) is a row of (D,)
            else:
                raise CheckpointError(
                    f"statistics: {name}_{kind} has shape {value.shape}, the weights need {(dims[name],)}"
                )
    return arrays
