"""How much a sequence of commands jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.committed import Floats


@dataclass(frozen=True, eq=False)
class Jumps:
    """The largest and the 99th percentile for each joint (D,), in the commands' unit.

    `step` is |a_t - a_(t-1)|; `bend` is |a_t - 2 a_(t-1) + a_(t-2)|, what is left once steady motion is taken away.
    """

    step_max: Floats
    step_p99: Floats
    bend_max: Floats
    bend_p99: Floats

    def as_dict(self) -> dict[str, list[float]]:
        """Plain lists, for a report."""
        return {name: getattr(self, name).tolist() for name in ("step_max", "step_p99", "bend_max", "bend_p99")}


def measure_jumps(commands: ArrayLike) -> Jumps:
    """Jumps of commands (T, D), one a tick. Too few rows for a difference count as zero; NaN stays NaN."""
    values = np.asarray(commands, dtype=np.float64)
    if values.ndim != 2:
        raise VgilError(f"commands: found shape {values.shape}, expected (T, D)")
    step = np.abs(np.diff(values, axis=0))
    bend = np.abs(np.diff(values, n=2, axis=0))
    return Jumps(_largest(step), _p99(step), _largest(bend), _p99(bend))


def _largest(values: Floats) -> Floats:
    found: Floats = values.max(axis=0, initial=0.0)
    return found


def _p99(values: Floats) -> Floats:
    return np.percentile(values, 99, axis=0) if len(values) else np.zeros(values.shape[1])
