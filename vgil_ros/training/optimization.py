"""One step of the optimiser: augmentation, teacher, loss, gradient, running mean."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from vgil_ros.policies.base import Policy
from vgil_ros.policies.observation import Batch as PolicyBatch
from vgil_ros.training.build import make_optimizer, rate_factor
from vgil_ros.training.config import EmaConfig, TrainConfig
from vgil_ros.training.data.augmentation import Augmentation
from vgil_ros.training.data.dataset import LEFT_OUT, Batch, map_tensors
from vgil_ros.training.distributed import Accelerator, autocast, short_attention
from vgil_ros.training.meters import LossMeter


class Ema:
    """Keeps a copy of a policy whose weights follow slowly. The policy's weights are changed in place, never replaced.

    The decay at update n is min(decay, (1 + n) / (10 + n)), so that the first, random weights are soon forgotten.
    """

    def __init__(self, policy: Policy, config: EmaConfig) -> None:
        shared = {id(value): value for value in policy.parameters() if not value.requires_grad}  # they never change
        self.policy = copy.deepcopy(policy, shared).eval().requires_grad_(False)
        self._decay = config.decay
        theirs, ours = policy.state_dict(), self.policy.state_dict()
        pairs = [(ours[key], theirs[key]) for key in ours if ours[key].data_ptr() != theirs[key].data_ptr()]
        self._means = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copies = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the policy after step number `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([ours for ours, _ in self._means], [theirs for _, theirs in self._means], 1 - decay)
        for ours, theirs in self._copies:
            ours.copy_(theirs)


class LossModule(nn.Module):
    """A policy whose forward pass is its loss, which is what several processes share."""

    def __init__(self, policy: Policy, precision: str) -> None:
        super().__init__()
        self.policy, self._precision = policy, precision

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """(loss, its parts)."""
        with autocast(self.policy.device, self._precision), short_attention(self.policy.device):
            out = self.policy.compute_loss(cast("PolicyBatch", batch))
        return out.loss, out.parts


def _rows(batch: Batch, part: int, parts: int) -> Batch:
    """One of the equal parts of a batch."""
    if parts == 1:
        return batch
    size = len(batch["index"]) // parts
    rows = slice(part * size, (part + 1) * size)

    def cut(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: cut(inner) for key, inner in value.items()}
        return value[rows] if isinstance(value, (Tensor, list)) else value

    return {key: value if key == LEFT_OUT else cut(value) for key, value in batch.items()}


class TrainStep:
    """A policy with all that changes its weights.

    Attributes:
        policy: the one that learns.
        ema: its running mean, None where that is off.
        meter: the losses since they were last taken.
        parts: the losses of the last step.
    """

    def __init__(
        self, policy: Policy, config: TrainConfig, accelerator: Accelerator, teach: Callable[[Batch], Batch] | None
    ) -> None:
        """Take a policy that is on the accelerator's device; `teach` is what a teacher adds to a batch."""
        self.policy, self._config, self._engine, self._teach = policy, config, accelerator, teach
        self._module = accelerator.wrap(LossModule(policy, config.precision))
        self._optimizer = make_optimizer(policy, config)
        self.ema = Ema(policy, config.ema) if config.ema.enabled else None
        self._augment = Augmentation(config.augmentation, config.seed)
        self.meter = LossMeter()
        self.parts: dict[str, Tensor] = {}

    def rehearse(self, batch: Batch) -> None:
        """Compute the gradients of a batch, and forget them: what a step takes. Nothing is changed."""
        self._module.train()
        loss, _ = self._module(map_tensors(batch, lambda tensor: tensor.to(self._engine.device)))
        loss.backward()
        self._optimizer.zero_grad(set_to_none=True)

    @property
    def eval_policy(self) -> Policy:
        """The policy that is validated and saved: the running mean where it is on."""
        return self.ema.policy if self.ema is not None else self.policy

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rates of the last step: the policy's, and its backbones'."""
        own, backbone = self._optimizer.param_groups
        return own["lr"], backbone["lr"]

    def learn(self, batch: Batch, step: int) -> Tensor:
        """Take step number `step`, counted from 0, with this process' share of its batch; gives the gradient's norm."""
        config = self._config
        factor = rate_factor(config.schedule, step, config.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = group["full_lr"] * factor
        self._module.train()
        self._optimizer.zero_grad(set_to_none=True)
        self.parts = {}
        for part in range(config.gradient_accumulation):
            self._add_gradient(batch, step, part)
        clip = config.optimizer.clip_norm
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), float("inf") if clip is None else clip)
        self._optimizer.step()
        if self.ema is not None:
            self.ema.update(step)
        self.meter.add(self.parts)
        return norm

    def _add_gradient(self, batch: Batch, step: int, part: int) -> None:
        """Add the gradient of one part of this process' share of a batch, and its losses.

        What is random follows from the part's number among all: two processes compute what one does in two parts.
        """
        config, accelerator = self._config, self._engine
        parts = config.gradient_accumulation
        number, size = accelerator.rank * parts + part, config.batch_size // (accelerator.processes * parts)
        torch.manual_seed((config.seed * 1_000_003 + step) * accelerator.processes * parts + number)
        batch = self._augment(_rows(batch, part, parts), step, number * size, config.batch_size)
        if self._teach is not None:
            batch = self._teach(batch)
        with accelerator.alone(self._module) if part + 1 < parts else nullcontext():
            loss, losses = self._module(batch)
            (loss / parts).backward()
        for key, value in {**losses, "loss": loss}.items():
            share = value.detach() / parts
            self.parts[key] = self.parts[key] + share if key in self.parts else share

    def state(self) -> dict[str, Any]:
        """What `restore` needs, but for the window."""
        return {
            "policy": self.policy.state_dict(),
            "ema": self.ema.policy.state_dict() if self.ema is not None else None,
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`, with the window's own under "window"."""
        self.policy.load_state_dict(state["policy"])
        if self.ema is not None:
            self.ema.policy.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.meter.restore(state["window"], self._engine.device)
