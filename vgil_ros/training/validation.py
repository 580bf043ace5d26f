"""The loss, and the error of what a robot would play, on episodes that are kept from training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vgil_ros.policies.base import Policy
from vgil_ros.policies.observation import Batch as PolicyBatch
from vgil_ros.policies.preparation import prepare_targets
from vgil_ros.training.config import TrainConfig
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, Loader
from vgil_ros.training.distributed import Accelerator, autocast

ACTION_ERROR = "action_error"
SAMPLED_ROWS = 128  # of all processes, for the action error of a policy that makes its chunk in several steps
Log = Callable[[str], None]


class Validation:
    """The same rows each time, evenly spread, without augmentation, and with the same noise."""

    def __init__(
        self,
        dataset: EpisodeDataset,
        config: TrainConfig,
        accelerator: Accelerator,
        change: Callable[[Batch], Batch] | None = None,
        *,
        precision: str = "fp32",
        log: Log = lambda _: None,
        progress: bool = False,
    ) -> None:
        """Choose the rows. `change` is what else happens to a batch in training, such as a teacher's targets."""
        self._engine, self._config, self._change = accelerator, config, change
        self._precision, self._progress = precision, progress
        count = min(len(dataset.usable), config.validation_samples)
        count -= count % accelerator.processes  # equal shares, so that means can be averaged
        places = np.unique(np.linspace(0, max(len(dataset.usable) - 1, 0), count).astype(int))[:count]
        rows = dataset.usable[places]
        mine = rows[accelerator.rank :: accelerator.processes].tolist()
        size = config.batch_size // accelerator.processes
        self._batches = [mine[i : i + size] for i in range(0, len(mine), size)]
        taken = max(1, SAMPLED_ROWS // config.batch_size)  # batches whose action error is taken, of such a policy
        self._every = max(1, -(-len(self._batches) // taken))
        self._loader = Loader(dataset, self._batches, min(config.data.workers, 1), accelerator.device, log)

    @torch.no_grad()
    def run(self, policy: Policy, stop: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Means over rows and processes: the loss, its parts, and `action_error` where it ranks the checkpoints.

        That is the mean distance of the actions that a robot would be given (ACT's latent zero, a diffusion's noise
        taken away) from the recorded ones, in the action's own scale, computed as on the robot, without autocast. For
        a policy that makes its chunk in several steps, it is of about `SAMPLED_ROWS` of the rows, evenly spread.

        Args:
            stop: asked between batches; once it says so, nothing is given.

        Returns:
            Empty where no episode is kept for it.
        """
        if not self._batches:
            return {}
        training = policy.training
        policy.eval()
        policy.reset()
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        every = self._every if getattr(policy.config, "steps", 1) > 1 else 1
        try:
            for number, (rows, batch) in enumerate(self._bar(zip(self._batches, self._loader, strict=True))):
                if stop():
                    return {}
                torch.manual_seed(number * self._engine.processes + self._engine.rank)
                for key, value in self._measure(policy, batch, played=number % every == 0).items():
                    empty = torch.zeros((), dtype=torch.float64, device=value.device)
                    sums[key] = sums.get(key, empty) + value * len(rows)
                    counts[key] = counts.get(key, 0) + len(rows)
        finally:
            policy.train(training)
        keys = sorted(sums)
        whole = torch.stack([sums[key] for key in keys])
        means = self._engine.mean(whole) / whole.new_tensor([counts[key] for key in keys])
        return dict(zip(keys, means.tolist(), strict=True))

    def _bar(self, batches: Iterable[tuple[list[int], Batch]]) -> Iterable[tuple[list[int], Batch]]:
        hidden = None if self._progress else True  # None: where there is no terminal
        bar: Iterable[tuple[list[int], Batch]] = tqdm(
            batches, "validation", len(self._batches), unit="batch", delay=1, leave=False, disable=hidden
        )
        return bar

    def _measure(self, policy: Policy, batch: Batch, *, played: bool) -> dict[str, Tensor]:
        """Losses of a batch; `played`: its action error too, where it is asked for."""
        taught = batch if self._change is None else self._change(batch)
        with autocast(self._engine.device, self._precision):
            out = policy.compute_loss(cast("PolicyBatch", taught))
        losses = {**out.parts, "loss": out.loss}
        if played and self._config.checkpoint.metric == ACTION_ERROR:
            losses[ACTION_ERROR] = action_error(policy, cast("PolicyBatch", batch))
        return losses


def action_error(policy: Policy, batch: PolicyBatch) -> Tensor:
    """Mean distance of a policy's chunk from the recorded actions, unpadded ones alone, in the scale of the action."""
    action, is_pad = prepare_targets(policy.config, batch, policy.device)
    scale = policy.normalizer.action
    chunk = policy.predict_chunk(batch).to(torch.float32)
    error = (scale(chunk) - scale(action)).abs().mean(dim=2).masked_fill(is_pad, 0.0)
    mean: Tensor = error.sum() / (~is_pad).sum().clamp(min=1)
    return mean
