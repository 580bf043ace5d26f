"""One piece of work over many items: here, in several processes, or on a Ray cluster."""

from vgil_ros.parallel.choice import executor
from vgil_ros.parallel.executor import Executor, InProcess, Outcome, Work, WorkerKilled

__all__ = ["Executor", "InProcess", "Outcome", "Work", "WorkerKilled", "executor"]
