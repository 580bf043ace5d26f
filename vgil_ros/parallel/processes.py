"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.parallel.executor import Outcome, Work, attempt
from vgil_ros.parallel.pool import Killed, Pool, Unfit, Worker, limit_threads

PATIENCE_S = 5.0  # for a process that was told to end


class RemoteTraceback(Exception):
    """Where in a worker an error came from."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class ProcessPool(Pool):
    """Workers in processes of their own, started as they are needed. Ctrl-C ends them all."""

    def start(self, work: Work[Any, Any]) -> Worker:
        """See `Pool.start`."""
        return ProcessWorker(work)

    def wait(self, workers: Sequence[Worker]) -> Sequence[Worker]:
        """See `Pool.wait`."""
        waited: dict[Any, Worker] = {}
        for worker in workers:
            assert isinstance(worker, ProcessWorker)
            waited[worker.connection] = waited[worker.sentinel] = worker
        return list(dict.fromkeys(waited[ready] for ready in wait_for(list(waited))))


class ProcessWorker:
    """A process that works on one item after another."""

    def __init__(self, work: Work[Any, Any]) -> None:
        context = multiprocessing.get_context("spawn")  # threads and OpenGL contexts do not live through a fork
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()
        self._works = False

    @property
    def sentinel(self) -> int:
        """Is ready when the process has ended."""
        return self._process.sentinel

    def give(self, item: Any) -> None:
        """See `Worker.give`."""
        self._works = True
        with contextlib.suppress(OSError):  # it is gone: `take` says so
            self.connection.send(item)

    def take(self) -> Outcome[Any, Any]:
        """See `Worker.take`."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(PATIENCE_S)
            raise Killed(f"the process {self._process.pid} that worked on it {self._how()}") from None
        self._works = False
        if isinstance(answer, Outcome):
            return answer
        if isinstance(answer, Unfit):
            raise answer
        error, text = answer
        raise error from RemoteTraceback(text)

    def _how(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"was killed ({signal.Signals(-code).name})"
        return f"ended by itself (exit code {code})"

    def end(self) -> None:
        """See `Worker.end`."""
        if self._works:
            self._process.terminate()
        self.connection.close()
        self._process.join(PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, work: Work[Any, Any], parent: int) -> None:
    """Work until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all at a terminal; the parent ends its workers
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    limit_threads()
    item = _heard(connection)
    if item is None:
        return
    with contextlib.ExitStack() as stack:
        try:
            do = stack.enter_context(work.open())
        except VgilError as error:
            _tell(connection, Unfit(error))
            return
        except Exception as error:
            _tell(connection, _told(error))
            return
        while item is not None:
            try:
                answer: Any = attempt(do, *item)
            except Exception as error:
                answer = _told(error)
            _tell(connection, answer)
            item = _heard(connection)


def _heard(connection: Connection) -> tuple[Any] | None:
    """The next item; None where there is no other end any more."""
    try:
        return (connection.recv(),)
    except (EOFError, OSError):
        return None


def _tell(connection: Connection, answer: Any) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it any more
        connection.send(answer)


def _told(error: Exception) -> tuple[Exception, str]:
    """An error that is a fault of ours, with where it came from."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # one of a library, made with more than its words
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, text


def _end_with(parent: int) -> None:
    """End a worker whose parent was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
