"""Weights on disk in half the bytes: parameters in bf16 or fp16, everything else as it is.

Buffers (the normaliser's statistics, running means) keep their float32: they are few, and scale everything else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import torch
from torch import Tensor

from vgil_ros.policies.errors import CheckpointError

Storage = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def narrow(weights: Mapping[str, Tensor], parameters: Collection[str], storage: Storage) -> dict[str, Tensor]:
    """Give the tensors as they are stored; those not named in `parameters`, and not float32, stay as they are.

    Raises:
        CheckpointError: an unknown storage, or a value too large for it.
    """
    if storage not in DTYPES:
        raise CheckpointError(f"weights stored as {storage!r}; allowed: {sorted(DTYPES)}")
    kind = DTYPES[storage]
    out = {}
    for key, value in weights.items():
        out[key] = value.to(kind) if key in parameters and value.dtype == torch.float32 else value
        if not bool(torch.isfinite(out[key]).all()) and bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{key} goes up to {float(value.abs().max()):.3g}, which {storage} does not hold")
    return out


def widen(stored: Mapping[str, Tensor], parameters: Collection[str], storage: Storage) -> dict[str, Tensor]:
    """Give stored tensors as the policy takes them. One of another type than `storage` says is left for the check."""
    kind = DTYPES[storage]
    if kind == torch.float32:
        return dict(stored)
    out = {}
    for key, value in stored.items():
        declared = key in parameters and value.dtype == kind
        undeclared = key in parameters and value.dtype == torch.float32
        if undeclared:
            raise CheckpointError(f"mismatched: {key} is {value.dtype}, allowed {kind}, as policy.json says")
        out[key] = value.to(torch.float32) if declared else value
    return out
