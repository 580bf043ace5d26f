"""Chunk execution: from the policy's chunks (H, D) to one action (D,) a tick."""

from vgil_ros.core.execution.asynchronous import Asynchronous
from vgil_ros.core.execution.consistent import Consistent
from vgil_ros.core.execution.executor import ChunkExecutor
from vgil_ros.core.execution.kept import Execution, KeptExecution, ResolvedExecution, resolve_execution
from vgil_ros.core.execution.metrics import Smoothness, measure_smoothness
from vgil_ros.core.execution.open_loop import OpenLoop
from vgil_ros.core.execution.prefix import Prefix, prefix_weights, with_prefix
from vgil_ros.core.execution.registry import (
    EXECUTORS,
    RENAMED_MODES,
    RENAMED_OPTIONS,
    check_mode,
    executor_class,
    make_executor,
    resolve_mode,
)
from vgil_ros.core.execution.rtc import RealTimeChunking
from vgil_ros.core.execution.temporal_ensemble import TemporalEnsemble

__all__ = [
    "EXECUTORS",
    "RENAMED_MODES",
    "RENAMED_OPTIONS",
    "Asynchronous",
    "ChunkExecutor",
    "Consistent",
    "Execution",
    "KeptExecution",
    "OpenLoop",
    "Prefix",
    "RealTimeChunking",
    "ResolvedExecution",
    "Smoothness",
    "TemporalEnsemble",
    "check_mode",
    "executor_class",
    "make_executor",
    "measure_smoothness",
    "prefix_weights",
    "resolve_execution",
    "resolve_mode",
    "with_prefix",
]
