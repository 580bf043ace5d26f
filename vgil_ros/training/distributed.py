"""One process or several. Several run under `torchrun`, through Accelerate.

One process does without it: Accelerate takes the first GPU whatever `cuda:N` says, and keeps its choice of CPU or GPU
for the whole of a Python process, in which several trainings may follow each other.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vgil_ros.policies.device import checked_device
from vgil_ros.policies.errors import PolicyError
from vgil_ros.training.errors import TrainingError

LONGEST_WAIT = timedelta(days=7)  # for a process that is at work alone; one that has died is noticed at once


class Accelerator(Protocol):
    """What a training loop needs of its fellows."""

    device: torch.device
    rank: int
    processes: int

    def wrap(self, module: nn.Module) -> nn.Module:
        """Make the module's gradients the mean over all processes."""

    def alone(self, module: nn.Module) -> AbstractContextManager[Any]:
        """Around a forward and backward pass: its gradients are shared with those of the next one."""

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over all processes."""

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of the processes at least; all of them ask at the same place."""

    def wait(self) -> None:
        """Wait until all processes are here."""

    def close(self) -> None:
        """Part from the others."""


class SingleProcess:
    """One process."""

    rank, processes = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, module: nn.Module) -> nn.Module:
        """See `Accelerator.wrap`."""
        return module

    def alone(self, module: nn.Module) -> AbstractContextManager[Any]:
        """See `Accelerator.alone`."""
        return nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """See `Accelerator.mean`."""
        return value

    def any(self, flag: bool) -> bool:
        """See `Accelerator.any`."""
        return flag

    def wait(self) -> None:
        """See `Accelerator.wait`."""

    def close(self) -> None:
        """See `Accelerator.close`."""


class MultiProcess:
    """Several processes under Accelerate. Loading, autocast and optimiser are the same code as in one process."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.device: torch.device = accelerator.device
        self.rank: int = accelerator.process_index
        self.processes: int = accelerator.num_processes
        # between CPUs: no GPU is waited for, and the first process may take its time (a scan, a teacher, rollouts)
        self._words: Any = torch.distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)

    def wrap(self, module: nn.Module) -> nn.Module:
        """See `Accelerator.wrap`."""
        wrapped: nn.Module = self._accelerator.prepare(module)
        return wrapped

    def alone(self, module: nn.Module) -> AbstractContextManager[Any]:
        """See `Accelerator.alone`."""
        apart: AbstractContextManager[Any] = self._accelerator.no_sync(module)
        return apart

    def mean(self, value: Tensor) -> Tensor:
        """See `Accelerator.mean`."""
        reduced: Tensor = self._accelerator.reduce(value.clone(), "mean")
        return reduced

    def any(self, flag: bool) -> bool:
        """See `Accelerator.any`."""
        said = torch.tensor(int(flag))
        torch.distributed.all_reduce(said, torch.distributed.ReduceOp.MAX, group=self._words)
        return bool(said)

    def wait(self) -> None:
        """See `Accelerator.wait`."""
        torch.distributed.barrier(group=self._words)

    def close(self) -> None:
        """See `Accelerator.close`."""
        self._accelerator.end_training()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextmanager
def first_before_others(accelerator: Accelerator) -> Iterator[None]:
    """The first process runs the block before the others begin it, who then find on disk what it left there."""
    if accelerator.rank:
        accelerator.wait()
    try:
        yield
    except Exception:  # the others will meet the same, and say nothing of it
        if not accelerator.rank:
            accelerator.wait()
        raise
    if not accelerator.rank:
        accelerator.wait()


def make_accelerator(device: str) -> Accelerator:
    """Join the processes that `torchrun` started, or stand alone.

    Raises:
        TrainingError: the device is not there, or Accelerate is missing where it is needed.
    """
    checked = _training_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return SingleProcess(checked)
    try:
        accelerate = importlib.import_module("accelerate")  # only needed here
    except ImportError as error:
        raise TrainingError(
            "training in several processes needs accelerate, which is not installed; pip install 'vgil_ros[train]'"
        ) from error
    # not every weight has a share in the loss: ACT's padding head, for one
    unused = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)
    return MultiProcess(
        accelerate.Accelerator(cpu=checked.type == "cpu", mixed_precision="no", kwargs_handlers=[unused])
    )


def _training_device(name: str) -> torch.device:
    """Return a device that is there and can train.

    Raises:
        TrainingError: it is unknown, not there, or of a kind that nobody trains on.
    """
    try:
        device = checked_device(name)
    except PolicyError as error:
        raise TrainingError(str(error)) from None
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"device '{name}': allowed are cpu, cuda and cuda:N")
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Give autocast to bfloat16 where `precision` is "bf16"."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def short_attention(device: torch.device) -> AbstractContextManager[Any]:
    """On a CPU, take attention step by step.

    Over the few hundred tokens of a policy the fused kernel's backward pass takes longer than the rest of the network.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
