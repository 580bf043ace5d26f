"""Devices and number formats by the names that users give them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from vgil_ros.policies.errors import PolicyError

DtypeName = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
PRECISIONS: dict[str, torch.dtype] = {**DTYPES, "tf32": torch.float32}  # tf32: products of 10 bits; GPUs alone


def checked_device(name: str | torch.device) -> torch.device:
    """Give a device that is there; a CUDA device has its number.

    Raises:
        PolicyError: it is unknown, or not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise PolicyError(f"device '{name}' is unknown: {error}") from None
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count()
    if not count:
        raise PolicyError(f"device '{name}': torch finds no CUDA device here, allowed is cpu")
    if (device.index or 0) >= count:
        raise PolicyError(
            f"device '{name}': torch finds {count} CUDA devices here, allowed are cpu and cuda:0 to N - 1"
        )
    return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums are made in one order, whatever the number of cores: a seed gives the same result to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
