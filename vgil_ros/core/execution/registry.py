"""The values of the parameter `execution`, and the executor each one makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.asynchronous import Asynchronous
from vgil_ros.core.execution.executor import ChunkExecutor
from vgil_ros.core.execution.open_loop import OpenLoop
from vgil_ros.core.execution.real_time import RealTime
from vgil_ros.core.execution.temporal_ensemble import TemporalEnsemble

REAL_TIME = "real_time"

EXECUTORS: dict[str, Callable[..., ChunkExecutor]] = {
    "temporal_ensemble": TemporalEnsemble,
    "open_loop": OpenLoop,
    "async": Asynchronous,
    REAL_TIME: RealTime,
}


def check_mode(mode: str, policy: str, takes_committed: bool) -> None:
    """Refuse a mode that a policy (its type's name) cannot be played in.

    Raises:
        VgilError: for `real_time` where the policy does not keep committed actions.
    """
    if mode == REAL_TIME and not takes_committed:
        others = ", ".join(name for name in EXECUTORS if name != REAL_TIME)
        raise VgilError(
            f"execution {mode}: a policy of type {policy} cannot keep to actions that are committed already; "
            f"allowed for it are {others}"
        )


def make_executor(mode: str, horizon: int, dim: int, **options: Any) -> ChunkExecutor:
    """The executor for chunks (horizon, dim). `options` are the mode's own; VgilError for another mode or option."""
    if mode not in EXECUTORS:
        raise VgilError(f"execution: found {mode!r}, allowed are {', '.join(EXECUTORS)}")
    make = EXECUTORS[mode]
    allowed = [name for name in inspect.signature(make).parameters if name not in ("horizon", "dim")]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise VgilError(f"execution {mode}: unknown option {', '.join(unknown)}; allowed are {', '.join(allowed)}")
    return make(horizon, dim, **options)
