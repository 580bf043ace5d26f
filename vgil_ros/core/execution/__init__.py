"""Chunk execution: from the policy's chunks (H, D) to one action (D,) a tick."""

from vgil_ros.core.execution.asynchronous import Asynchronous
from vgil_ros.core.execution.committed import Committed, agreement, with_committed
from vgil_ros.core.execution.executor import ChunkExecutor
from vgil_ros.core.execution.metrics import Jumps, measure_jumps
from vgil_ros.core.execution.open_loop import OpenLoop
from vgil_ros.core.execution.real_time import RealTime
from vgil_ros.core.execution.registry import EXECUTORS, check_mode, executor_class, make_executor
from vgil_ros.core.execution.temporal_ensemble import TemporalEnsemble

__all__ = [
    "EXECUTORS",
    "Asynchronous",
    "ChunkExecutor",
    "Committed",
    "Jumps",
    "OpenLoop",
    "RealTime",
    "TemporalEnsemble",
    "agreement",
    "check_mode",
    "executor_class",
    "make_executor",
    "measure_jumps",
    "with_committed",
]
