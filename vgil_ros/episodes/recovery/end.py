"""The end of a recovery: attributes and the last observation. What of it cannot be read is left out, never the rows."""

from __future__ import annotations

import math

import h5py

from vgil_ros.episodes.h5 import text_array
from vgil_ros.episodes.reading.attributes import MOST_BYTES
from vgil_ros.episodes.reading.structure import Structure
from vgil_ros.episodes.schema import FINAL, FORMAT, STAMPS


def copy_end(file: h5py.File, out: h5py.File, structure: Structure, *, complete: bool) -> list[str]:
    """Copy a file's attributes, and its final observation where everything before it is whole.

    Returns:
        What could not be copied.
    """
    lost = copy_attributes(file, out)
    if lost and STAMPS in structure.datasets:
        _stand_in(out)
    inside = [path for path in (*structure.datasets, *structure.broken) if path.startswith(f"{FINAL}/")]
    if not complete or FINAL not in structure.groups:
        return lost
    if any(path in structure.broken or structure.disbelief(path) for path in inside):
        return [*lost, FINAL]
    try:
        file.copy(FINAL, out)
    except Exception:  # whatever HDF5 stumbles over in a damaged file
        if FINAL in out:
            del out[FINAL]
        lost.append(FINAL)
    return lost


def _stand_in(out: h5py.File) -> None:
    """Put in place of lost attributes what is the same in each file of ours; without, it would be read as a peer's."""
    out.attrs.setdefault("format", FORMAT)
    out.attrs.setdefault("sim", True)
    if "sync/skew_ns" in out and "streams" not in out.attrs:
        out.attrs["streams"] = text_array([f"stream_{i}" for i in range(out["sync/skew_ns"].shape[1])])


def copy_attributes(source: h5py.File | h5py.Dataset, target: h5py.File | h5py.Dataset) -> list[str]:
    """Copy attributes one by one; return those that cannot be read."""
    lost = []
    try:
        names = list(source.attrs)
    except Exception:  # whatever HDF5 stumbles over in a damaged file
        return [f"attributes of {source.name}"]
    for name in names:
        try:
            made = source.attrs.get_id(name)
            if math.prod(made.shape or ()) * made.dtype.itemsize > MOST_BYTES:
                raise ValueError
            target.attrs[name] = source.attrs[name]
        except Exception:  # as above
            lost.append(f"attribute {name!a} of {source.name}")
    return lost
