"""The loss on episodes that are kept from training."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch

from vgil_ros.policies.base import Policy
from vgil_ros.policies.observation import Batch as PolicyBatch
from vgil_ros.training.config import TrainConfig
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, Loader
from vgil_ros.training.distributed import Accelerator, autocast


class Validation:
    """The same rows each time, evenly spread, without augmentation, and with the same noise."""

    def __init__(
        self,
        dataset: EpisodeDataset,
        config: TrainConfig,
        accelerator: Accelerator,
        change: Callable[[Batch], Batch] | None = None,
    ) -> None:
        """Choose the rows. `change` is what else happens to a batch in training, such as a teacher's targets."""
        self._engine, self._config, self._change = accelerator, config, change
        count = min(len(dataset), config.validation_samples)
        count -= count % accelerator.processes  # equal shares, so that means can be averaged
        rows = np.unique(np.linspace(0, max(len(dataset) - 1, 0), count).astype(int))[:count]
        mine = rows[accelerator.rank :: accelerator.processes].tolist()
        size = config.batch_size // accelerator.processes
        self._batches = [mine[i : i + size] for i in range(0, len(mine), size)]
        self._loader = Loader(dataset, self._batches, min(config.data.workers, 1), accelerator.device)

    @torch.no_grad()
    def run(self, policy: Policy) -> dict[str, float]:
        """Mean loss and its parts over rows and processes; empty where no episode is kept for it."""
        if not self._batches:
            return {}
        training = policy.training
        policy.eval()
        sums: dict[str, torch.Tensor] = {}
        for number, (rows, batch) in enumerate(zip(self._batches, self._loader, strict=True)):
            torch.manual_seed(number * self._engine.processes + self._engine.rank)
            batch = batch if self._change is None else self._change(batch)
            with autocast(self._engine.device, self._config.precision):
                out = policy.compute_loss(cast("PolicyBatch", batch))
            for key, value in {**out.parts, "loss": out.loss}.items():
                sums[key] = sums.get(key, torch.zeros((), dtype=torch.float64, device=value.device)) + value * len(rows)
        policy.train(training)
        count = sum(map(len, self._batches))
        keys = sorted(sums)
        means = self._engine.mean(torch.stack([sums[key] for key in keys])) / count
        return dict(zip(keys, means.tolist(), strict=True))
