"""Actions of chunk executors, where there must be one."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.execution import ChunkExecutor


def played(executor: ChunkExecutor, tick: int) -> np.ndarray:
    """The action (A,) of a tick.

    Raises:
        AssertionError: where there is none.
    """
    action = executor.action(tick)
    assert action is not None, f"no action at tick {tick}"
    return action
