"""The values of the parameter `execution`, and the executor each one makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.asynchronous import Asynchronous
from vgil_ros.core.execution.consistent import Consistent
from vgil_ros.core.execution.executor import ChunkExecutor
from vgil_ros.core.execution.open_loop import OpenLoop
from vgil_ros.core.execution.rtc import RealTimeChunking
from vgil_ros.core.execution.temporal_ensemble import TemporalEnsemble

EXECUTORS: dict[str, type[ChunkExecutor]] = {
    "temporal_ensemble": TemporalEnsemble,
    "open_loop": OpenLoop,
    "async": Asynchronous,
    "consistent": Consistent,
    "rtc": RealTimeChunking,
}

# What the release before called them; it is accepted for one release more, with a warning.
RENAMED_MODES = {"real_time": "rtc"}
RENAMED_OPTIONS = {"query_every": "inference_period"}


def resolve_mode(mode: str) -> tuple[str, str | None]:
    """The mode that a name stands for, and what to say to whoever gave its old name; None where it is today's.

    Raises:
        VgilError: for another mode than those in `EXECUTORS`.
    """
    if mode in RENAMED_MODES:
        new = RENAMED_MODES[mode]
        return new, f"execution '{mode}' is called '{new}' now; the next release refuses it"
    if mode not in EXECUTORS:
        raise VgilError(f"execution: found {mode!r}, allowed are {', '.join(EXECUTORS)}")
    return mode, None


def executor_class(mode: str) -> type[ChunkExecutor]:
    """The class of a mode, by its old name too; `resolve_mode` says what to tell the user of that.

    Raises:
        VgilError: for another mode than those in `EXECUTORS`.
    """
    return EXECUTORS[resolve_mode(mode)[0]]


def check_mode(mode: str, policy: str, supports_prefix: bool) -> None:
    """Refuse a mode that a policy (its type's name) cannot be played in.

    Raises:
        VgilError: for an unknown mode, or one whose requests carry prefix actions where the policy keeps to none.
    """
    if executor_class(mode).uses_prefix and not supports_prefix:
        others = ", ".join(name for name, kind in EXECUTORS.items() if not kind.uses_prefix)
        raise VgilError(
            f"execution {mode}: a policy of type {policy} cannot keep to a prefix of settled actions; "
            f"allowed for it are {others}"
        )


def make_executor(mode: str, horizon: int, dim: int, **options: Any) -> ChunkExecutor:
    """The executor for chunks (horizon, dim). `options` are the mode's own; VgilError for another mode or option."""
    make: Callable[..., ChunkExecutor] = executor_class(mode)
    allowed = [name for name in inspect.signature(make).parameters if name not in ("horizon", "dim")]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise VgilError(f"execution {mode}: unknown option {', '.join(unknown)}; allowed are {', '.join(allowed)}")
    return make(horizon, dim, **options)
