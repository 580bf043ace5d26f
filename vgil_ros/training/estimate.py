"""How long a training will take: before its first step on a CPU, and by its first steps anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from vgil_ros.assets import share_dir
from vgil_ros.core.config import load_yaml
from vgil_ros.core.errors import VgilError
from vgil_ros.training.config import TrainConfig
from vgil_ros.training.data.dataset import Batch, EpisodeDataset, map_tensors
from vgil_ros.training.run_log import time_words

WARM_UP, MEASURED = 3, 10  # steps that are left out, and the one after which the rest is told
WORTH_IT = 50  # steps; of a shorter run nothing is said
LONG_S = 24 * 3600.0  # on a CPU, beyond which another configuration is spoken of
QUICK_S = 1.0  # a rehearsal that took less is done once more: the first one chooses kernels

Rehearse = Callable[[Batch], object]


def before_the_first(config: TrainConfig, steps: int, data: EpisodeDataset, rehearse: Rehearse) -> str | None:
    """What a run on a CPU will come to, by one sample forth and back; None where it is short or cannot be told.

    Args:
        steps: that are to come. rehearse: computes the gradients of a batch, and changes nothing.
    """
    if steps < WORTH_IT or not len(data):
        return None
    try:
        batch = map_tensors(data.batch([0]), lambda tensor: tensor)
    except VgilError:
        return None  # the run will say it
    with torch.random.fork_rng(devices=[]):
        seconds = _timed(rehearse, batch)
        if seconds < QUICK_S:
            seconds = _timed(rehearse, batch)
    total = seconds * config.batch_size * steps
    if total < LONG_S:
        return None
    small = _smaller(config)
    return (
        f"warning: on this CPU the run will take about {time_words(total)} ({steps} steps of {config.batch_size} "
        f"samples, {seconds:.1f} s each){small}; a GPU: device=cuda; fewer steps: --steps"
    )


def _timed(rehearse: Rehearse, batch: Batch) -> float:
    began = time.perf_counter()
    rehearse(batch)
    return time.perf_counter() - began


def _smaller(config: TrainConfig) -> str:
    """The shipped small configuration of this policy, in words; empty where this is it."""
    name = f"{config.policy.get('type')}_small"
    path = share_dir() / "config" / "policies" / f"{name}.yaml"
    if not path.is_file() or load_yaml(path)["policy"].items() <= config.policy.items():
        return ""
    return f"; a small one that is made for it: --config {name}"


class PaceWatch:
    """Tells, after a run's first steps, how long the rest will take."""

    def __init__(self, steps: int) -> None:
        """`steps`: that are to come."""
        self._steps, self._done, self._began = steps, 0, 0.0

    def step(self) -> str | None:
        """One step is done; what there is to say."""
        self._done += 1
        if self._done == WARM_UP:
            self._began = time.perf_counter()
        if self._done != MEASURED or self._steps < WORTH_IT:
            return None
        each = (time.perf_counter() - self._began) / (MEASURED - WARM_UP)
        left = self._steps - self._done
        return f"about {time_words(each * left)} to go: {left} steps of {each:.3g} s, without validation"
