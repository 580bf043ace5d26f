"""Why a loss is not finite, in words: the batch's values, the gradient, the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vgil_ros.core.errors import VgilError
from vgil_ros.policies.base import Policy
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, map_tensors
from vgil_ros.training.errors import TrainingError

LONGEST = 64  # steps between two looks at a GPU's losses
EXTREME = 30.0  # standard deviations (or half ranges) from the middle, that no good row is away


@dataclass(frozen=True, eq=False)
class StepDone:
    """A step (counted from 1), its samples in this process, its losses, its gradient's norm and its learning rates.

    Attributes:
        index: (B,) rows of the data set. The batch itself, with its images, is not held on to.
    """

    step: int
    index: Tensor
    parts: Mapping[str, Tensor]
    norm: Tensor
    rates: tuple[float, float]


class LossWatch:
    """Sees whether losses are finite: a CPU's at once; a GPU's are gathered there and looked at together.

    Reading a number from a GPU waits for all that it has to do, and then it has nothing to do. So a mark on the GPU
    gathers what was not finite, and is read with a line of the log, before a checkpoint, and every `LONGEST` steps.
    """

    def __init__(self, policy: Policy, data: EpisodeDataset, device: torch.device, out: Path) -> None:
        self._policy, self._data, self._out = policy, data, out
        self._at_once = device.type == "cpu"
        self._unseen: list[StepDone] = []
        self._bad: Tensor | None = None  # whether one of those was not finite

    def check(self, done: StepDone, *, now: bool) -> None:
        """Take a step; `now`: before anything else is done with its weights.

        Raises:
            TrainingError: its loss, or one since the last look, is not finite; it says why.
        """
        bad = ~(torch.isfinite(done.parts["loss"]) & torch.isfinite(done.norm))
        self._bad = bad if self._bad is None else self._bad | bad
        self._unseen.append(done)
        if now or self._at_once or len(self._unseen) >= LONGEST:
            self.look()

    def look(self) -> None:
        """Look at the steps since the last look; raises as `check`."""
        steps, bad = self._unseen, self._bad
        self._unseen, self._bad = [], None
        if bad is None or not bool(bad):
            return
        one = next(step for step in steps if not is_finite(step.parts["loss"], step.norm))  # the first: its own cause
        words = explain(one.step, one.parts, one.norm, self._batch(one), self._policy, self._data)
        last = self._out / "last"
        kept = f"; the last good checkpoint is {last}" if last.exists() else ""
        raise TrainingError(
            f"{words}; where the data is right, try a smaller optimizer.lr (it was {one.rates[0]:.2g}, of the backbone "
            f"{one.rates[1]:.2g}) or optimizer.clip_norm, or precision=fp32{kept}"
        )

    def _batch(self, one: StepDone) -> Batch | None:
        """The samples of a step, read once more; None where they cannot be."""
        try:
            batch = self._data.batch(one.index.tolist())
        except VgilError:
            return None
        return map_tensors(batch, lambda tensor: tensor.to(self._policy.device))


def is_finite(*values: Tensor) -> bool:
    """Whether every scalar is a finite number; waits for the device."""
    return all(math.isfinite(float(value)) for value in values)


def explain(
    step: int, parts: Mapping[str, Tensor], norm: Tensor, batch: Batch | None, policy: Policy, data: EpisodeDataset
) -> str:
    """What was not finite at a step (counted from 1), and where it seems to come from.

    Args:
        parts: the losses. norm: of the gradient. batch: of this process, None where it is not at hand.
    """
    bad = ", ".join(f"{key} {float(value):g}" for key, value in parts.items() if not math.isfinite(float(value)))
    what = (
        f"the loss is not finite ({bad})" if bad else f"the loss is not finite: its gradient's norm is {float(norm):g}"
    )
    return f"step {step}: {what}{_extreme(batch, policy, data) if batch is not None else ''}"


def _extreme(batch: Batch, policy: Policy, data: EpisodeDataset) -> str:
    """The value of the batch that is furthest off, where it is off at all."""
    furthest, found = EXTREME, ""
    for key, scale in (("qpos", policy.normalizer.qpos), ("action", policy.normalizer.action)):
        values: Tensor = batch[key]
        off = scale(values.to(torch.float32)).abs().nan_to_num(nan=math.inf)
        if key == "action":
            off = off.masked_fill(batch["is_pad"][..., None], 0.0)
        most = float(off.max())
        if most <= furthest:
            continue
        place = [int(i) for i in torch.unravel_index(off.argmax(), off.shape)]
        number, row = data.locate(int(batch["index"][place[0]]))
        path: Path = data.episodes[number].path
        names = policy.config.joint_names
        joint = names[place[-1]] if place[-1] < len(names) else f"column {place[-1]}"
        later = row + place[1] if key == "action" else row
        value = float(values[tuple(place)])
        furthest = most
        found = f"; {path}: {key} of {joint} is {value:.4g} at row {later}, {most:.0f} times its spread off: mend it"
    return found
