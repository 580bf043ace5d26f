"""Read pickled NumPy statistics without running what a pickle could run.

The unpickler knows the few globals that NumPy arrays and scalars need, under the module names of NumPy 1 and 2.
Everything else is refused by name before it is looked up.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.policies.errors import CheckpointError


def load_numpy_pickle(path: str | Path) -> dict[str, np.ndarray]:
    """Read a pickled dict of numeric NumPy arrays (or scalars), by name.

    Raises:
        CheckpointError: the file cannot be read, asks for any other global (which is named), or holds something else.
    """
    try:
        with Path(path).open("rb") as file:
            content = _NumpyUnpickler(file, str(path)).load()
    except CheckpointError:
        raise
    except Exception as error:  # a broken pickle raises nearly any kind of error
        raise CheckpointError(f"{path} cannot be read as pickled statistics: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: found a {type(content).__name__}, allowed is a dict of NumPy arrays")
    return {_name(path, key): _numeric(path, key, value) for key, value in content.items()}


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
    if kind is not np.ndarray:
        raise CheckpointError(f"array of kind {kind!r}: refused, allowed is numpy.ndarray")
    return np.ndarray.__new__(np.ndarray, shape, typecode.decode("ascii") if isinstance(typecode, bytes) else typecode)


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
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
}
for _core in ("numpy.core", "numpy._core"):
    _GLOBALS[_core + ".multiarray", "_reconstruct"] = _reconstruct
    _GLOBALS[_core + ".multiarray", "scalar"] = _scalar
    _GLOBALS[_core + ".numeric", "_frombuffer"] = _frombuffer


def _name(path: str | Path, key: object) -> str:
    if not isinstance(key, str):
        raise CheckpointError(f"{path}: found the key {key!r}, allowed are names")
    return key


def _numeric(path: str | Path, key: object, value: object) -> np.ndarray:
    if not isinstance(value, np.ndarray | np.generic | int | float):
        raise CheckpointError(f"{path}: {key} is a {type(value).__name__}, allowed is a NumPy array")
    array = np.asarray(value)
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
    statistics = load_numpy_pickle(path)
    missing = [f"{name}_{kind}" for name, kinds in wanted.items() for kind in kinds]
    missing = [name for name in missing if name not in statistics]
    if missing:
        raise CheckpointError(f"{path}: missing {', '.join(missing)}, found {sorted(statistics)}")
    arrays = {
        name: {kind: np.atleast_1d(statistics[f"{name}_{kind}"]) for kind in kinds} for name, kinds in wanted.items()
    }
    for name, kinds in arrays.items():
        for kind, value in kinds.items():
            if value.shape != (dims[name],):
                raise CheckpointError(
                    f"statistics: {name}_{kind} has shape {value.shape}, the weights need {(dims[name],)}"
                )
    return arrays
