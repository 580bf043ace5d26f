"""The running means between two lines of the log, and the shares of time."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from vgil_ros.training.distributed import Accelerator


class LossMeter:
    """Sums losses on the device, so that nothing waits for it until a line is logged."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, parts: dict[str, Tensor]) -> None:
        """Add a step's scalars."""
        self._count += 1
        for key, value in parts.items():
            value = value.detach().double()
            self._sums[key] = self._sums[key] + value if key in self._sums else value

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over steps and processes; starts anew."""
        keys = sorted(self._sums)
        sums = accelerator.mean(torch.stack([self._sums[key] for key in keys])) / self._count
        self._sums, self._count = {}, 0
        return dict(zip(keys, sums.tolist(), strict=True))

    def state(self, accelerator: Accelerator) -> dict[str, Any]:
        """For a checkpoint: the sums, as the mean over processes, which is all that `take` gives of them."""
        return {
            "sums": {key: accelerator.mean(value).item() for key, value in sorted(self._sums.items())},
            "count": self._count,
        }

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from a `state`."""
        self._count = state["count"]
        self._sums = {k: torch.tensor(v, dtype=torch.float64, device=device) for k, v in state["sums"].items()}


class DataTimer:
    """How long the loop waited for data, against all its time."""

    def __init__(self) -> None:
        self._start = self._mark = time.perf_counter()
        self._waited = self._waited_mark = 0.0

    def waited(self, since: float) -> None:
        """Count the time since `since` (perf_counter, s) as waiting."""
        self._waited += time.perf_counter() - since

    def lap(self) -> tuple[float, float]:
        """(seconds, share of them waited) since the last lap."""
        now, waited = time.perf_counter(), self._waited
        seconds, share = now - self._mark, (waited - self._waited_mark) / max(now - self._mark, 1e-9)
        self._mark, self._waited_mark = now, waited
        return seconds, share

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._start

    @property
    def share(self) -> float:
        """Share of all time waited."""
        return self._waited / max(self.seconds, 1e-9)
