"""The values of the parameter `execution`, and the executor each one makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.asynchronous import Asynchronous
from vgil_ros.core.execution.executor import ChunkExecutor
from vgil_ros.core.execution.open_loop import OpenLoop
from vgil_ros.core.execution.temporal_ensemble import TemporalEnsemble

EXECUTORS: dict[str, Callable[..., ChunkExecutor]] = {
    "temporal_ensemble": TemporalEnsemble,
    "open_loop": OpenLoop,
    "async": Asynchronous,
}


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
