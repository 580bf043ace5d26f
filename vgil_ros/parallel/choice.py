"""Choosing an executor: by how many processes, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vgil_ros.core.errors import VgilError
from vgil_ros.parallel.executor import Executor, InProcess
from vgil_ros.parallel.processes import ProcessPool
from vgil_ros.parallel.ray_cluster import RayPool


@contextmanager
def executor(workers: int | None = None, ray: str | None = None) -> Iterator[Executor]:
    """Give what works on many items.

    Args:
        workers: processes; None: one, or with `ray` as many as the cluster has CPUs.
        ray: the address of a Ray cluster; None: this machine.

    Raises:
        VgilError: for less than one process, or a cluster that cannot be joined.
    """
    if workers is not None and workers < 1:
        raise VgilError(f"workers is {workers}; allowed: from 1")
    if ray is None:
        yield ProcessPool(workers) if workers is not None and workers > 1 else InProcess()
        return
    pool = RayPool(ray, workers)
    try:
        yield pool
    finally:
        pool.close()
