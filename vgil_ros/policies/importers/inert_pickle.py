"""Read the tensors of a file that `torch.save` wrote with any pickler, and nothing else of it.

Such a file is a zip archive: numbers lie beside the pickle, which says how they hang together and may ask for whatever
else its writer had at hand. Here no global is looked up: a handful that describe tensors have stand-ins of our own, and
every other one becomes an `OpaqueObject`, a thing that takes any treatment and does nothing. So the pickle is walked
through without running what it names.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.foreign_file import require_weights_file
from vgil_ros.policies.importers.safe_pickle import hold_sizes

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class OpaqueObject:
    """What stands for anything that is not a tensor or a plain container."""

    def __new__(cls, *_: object, **__: object) -> OpaqueObject:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> OpaqueObject:
        return OpaqueObject()

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass

    def __hash__(self) -> int:
        return id(self)

    def append(self, _: object) -> None:
        """Take an item of what would have been a list."""

    def extend(self, _: object) -> None:
        """Take items of what would have been a list."""

    def add(self, _: object) -> None:
        """Take an item of what would have been a set."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that was described and not read yet."""

    key: str
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype


class TensorArchive:
    """An open file. `content` is what its pickle describes, with a StoredTensor for each tensor."""

    def __init__(self, path: Path) -> None:
        """Walk through the pickle.

        Raises:
            CheckpointError: it cannot be read as such a file.
        """
        self.path = path
        require_weights_file(path)
        try:
            self._zip = zipfile.ZipFile(path)
            (name,) = (name for name in self._zip.namelist() if name.endswith("data.pkl"))
            self._root = name.removesuffix("data.pkl")
            data = self._zip.read(name)
            hold_sizes(data)
            self.content: object = _Unpickler(io.BytesIO(data)).load()
        except Exception as error:  # a broken pickle or archive raises nearly any kind of error
            raise CheckpointError(f"{path} cannot be read as a checkpoint of torch 1.6 or newer: {error}") from error

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read the numbers of a tensor.

        Raises:
            CheckpointError: they are missing, or fewer than the tensor reaches for.
        """
        try:
            data = bytearray(self._zip.read(f"{self._root}data/{stored.key}"))
            flat = torch.frombuffer(data, dtype=stored.dtype) if data else torch.empty(0, dtype=stored.dtype)
            if math.prod(stored.shape) > flat.numel():
                raise ValueError(f"shape {stored.shape} takes more than the {flat.numel()} numbers that are stored")
            tensor = torch.as_strided(flat, stored.shape, stored.stride, stored.offset)
        except (KeyError, RuntimeError, ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise CheckpointError(f"{self.path}: the tensor {stored.key} cannot be read: {error}") from error
        return tensor.clone()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _DTYPES:
            return _DTYPES[name]
        return _GLOBALS.get((module, name), OpaqueObject)

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise CheckpointError(f"a storage of an unknown kind: {pid!r}")
        return _Storage(str(key), dtype)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: object) -> object:
    if not isinstance(storage, _Storage):
        return OpaqueObject()
    return StoredTensor(
        storage.key, storage.dtype, int(offset), tuple(int(n) for n in shape), tuple(int(n) for n in stride)
    )


def _parameter(data: object, *_: object) -> object:
    return data


_GLOBALS: dict[tuple[str, str], Callable[..., object] | type] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
}
