"""What two episode files do not have in common."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np


def differences(one: Path, other: Path) -> list[str]:
    """Datasets and attributes that are not equal, but for the time of day."""
    found: list[str] = []
    with h5py.File(one) as a, h5py.File(other) as b:

        def compare(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                real = item.dtype.kind == "f"
                if name not in b or not np.array_equal(item[()], b[name][()], equal_nan=real):
                    found.append(name)

        a.visititems(compare)
        keys = set(a.attrs) | set(b.attrs)
        found += [k for k in keys - {"created"} if not np.array_equal(a.attrs.get(k), b.attrs.get(k))]
    return found
