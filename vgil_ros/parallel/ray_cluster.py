"""Workers that are actors of a Ray cluster, on any of its machines. Paths mean the same on all of them."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import vgil_ros
from vgil_ros.core.errors import VgilError
from vgil_ros.extras import need
from vgil_ros.parallel.executor import Item, Outcome, Result, Work, attempt
from vgil_ros.parallel.pool import Killed, Pool, Unfit, Worker, limit_threads

ALLOWED = "auto (a cluster that this machine is part of), HOST:PORT of its head, or ray://HOST:10001"


class RayPool(Pool):
    """Workers on a cluster that is there already, one CPU each.

    Args:
        address: of the cluster, as `ray.init` takes it.
        workers: how many; None: as many as the cluster has CPUs.

    Raises:
        VgilError: Ray is not installed, no cluster answers, or it has fewer CPUs.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        need("--ray", "ray")
        ray = self._ray = importlib.import_module("ray")
        if not address.strip() or address == "local":
            raise VgilError(f"--ray is '{address}'; allowed: {ALLOWED}")
        _knock(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # Ray has many, and they are no errors of a kind
            why = " ".join(str(error).split())[:300]
            raise VgilError(f"--ray {address}: no cluster could be joined ({why}); allowed: {ALLOWED}") from error
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if cpus < (workers or 1):
            self.close()
            raise VgilError(
                f"--workers is {workers or 1}; the cluster at {address} has {cpus} CPUs; allowed: up to that"
            )
        super().__init__(workers or cpus)

    def map(self, work: Work[Item, Result], items: Iterable[Item]) -> Generator[Outcome[Item, Result], None, None]:
        """See `Executor.map`.

        Raises:
            VgilError: also where the work needs a GPU and the cluster has none.
        """
        if work.gpus:
            there = int(self._ray.cluster_resources().get("GPU", 0)) // work.gpus
            if not there:
                raise VgilError("--ray: the cluster has no GPU, and --device asks for one; allowed: --device cpu")
            self.workers = min(self.workers, there)
        yield from super().map(work, items)

    def start(self, work: Work[Any, Any]) -> Worker:
        """See `Pool.start`."""
        made = self._ray.remote(Actor).options(
            num_cpus=1, num_gpus=work.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        return RayWorker(self._ray, made.remote(work, vgil_ros.__version__))

    def wait(self, workers: Sequence[Worker]) -> Sequence[Worker]:
        """See `Pool.wait`."""
        waited = {worker.answer: worker for worker in workers if isinstance(worker, RayWorker)}
        ready, _ = self._ray.wait(list(waited), num_returns=1)
        return [waited[one] for one in ready]

    def close(self) -> None:
        """Part from the cluster."""
        self._ray.shutdown()


def _knock(address: str) -> None:
    """See that somebody listens at an address; Ray would try for minutes.

    Raises:
        VgilError: nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()
    except (OSError, ValueError, OverflowError) as error:
        raise VgilError(f"--ray {address}: no cluster answers there ({error}); allowed: {ALLOWED}") from error


class RayWorker:
    """The near end of an actor."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self.answer: Any = None
        self._place = actor.place.remote()

    def give(self, item: Any) -> None:
        """See `Worker.give`."""
        self.answer = self._actor.do.remote(item)

    def take(self) -> Outcome[Any, Any]:
        """See `Worker.take`."""
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(self.answer)
        except errors.RayTaskError:  # ours, from within the work: as it would be here
            raise
        except errors.RayError as error:
            lines = str(error).strip().splitlines() or ["?"]
            why = "; ".join(dict.fromkeys(line.strip() for line in (lines[0], lines[-1])))
            raise Killed(f"the process {self._where()}that worked on it was killed ({why})") from None
        if isinstance(answer, Unfit):
            raise answer
        outcome: Outcome[Any, Any] = answer
        return outcome

    def _where(self) -> str:
        with contextlib.suppress(Exception):
            host, process = self._ray.get(self._place, timeout=1.0)
            return f"{process} on {host} "
        return ""

    def end(self) -> None:
        """See `Worker.end`."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor, no_restart=True)


class Actor:
    """The far end: made once, then asked for one item after another."""

    def __init__(self, work: Work[Any, Any], version: str) -> None:
        limit_threads()
        self._work, self._version = work, version
        self._open = contextlib.ExitStack()
        self._do: Any = None

    def place(self) -> tuple[str, int]:
        """The machine's name, and the process' number."""
        return socket.gethostname(), os.getpid()

    def do(self, item: Any) -> Outcome[Any, Any] | Unfit:
        """Work on an item."""
        if self._do is None:
            if vgil_ros.__version__ != self._version:
                words = f"{socket.gethostname()} has vgil_ros {vgil_ros.__version__}, this machine {self._version}"
                return Unfit(VgilError(f"--ray: {words}; allowed: the same on all machines"))
            try:
                self._do = self._open.enter_context(self._work.open())
            except VgilError as error:
                return Unfit(error)
        return attempt(self._do, item)
