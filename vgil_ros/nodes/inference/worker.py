"""The inference thread: requests in, results out, one at a time."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from queue import Empty, SimpleQueue

import numpy as np

from vgil_ros.core.control.requests import InferenceError, InferenceReply, InferenceRequest, InferenceResult
from vgil_ros.core.errors import VgilError


class InferenceWorker:
    """Runs `infer` in a thread of its own. All methods are for one other thread.

    Args:
        infer: from a request to a chunk (H, A); a VgilError refuses the request, any other error ends the thread.
        reset: called in the same thread before the first request of an episode.

    Attributes:
        failure: what ended the thread; None while it runs.
    """

    def __init__(self, infer: Callable[[InferenceRequest], np.ndarray], reset: Callable[[], None]) -> None:
        self._infer, self._reset = infer, reset
        self._begin()

    def _begin(self) -> None:
        self._requests: SimpleQueue[InferenceRequest | Callable[[], None] | None] = SimpleQueue()
        self._results: SimpleQueue[InferenceReply] = SimpleQueue()
        self._open = False
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def new_episode(self) -> None:
        """Reset the policy before the next request; where the thread has died it is started anew."""
        if self.failure is not None:
            self._begin()
        self._requests.put(self._reset)

    def submit(self, request: InferenceRequest) -> None:
        """Hand a request over. To be called while not `busy`: a second one would wait, and be old when its turn comes.

        Raises:
            RuntimeError: a request is still open.
        """
        if self._open:
            raise RuntimeError("a request is still open")
        self._open = True
        self._requests.put(request)

    def poll(self) -> list[InferenceReply]:
        """The answers that came since the last call."""
        results: list[InferenceReply] = []
        try:
            while True:
                results.append(self._results.get_nowait())
                self._open = False
        except Empty:
            return results

    @property
    def busy(self) -> bool:
        """Whether a request is open, be it of an episode that has ended."""
        return self._open

    def _run(self) -> None:
        requests, results = self._requests, self._results
        try:
            while (item := requests.get()) is not None:
                if not isinstance(item, InferenceRequest):
                    item()
                    continue
                began = time.perf_counter()
                try:
                    chunk = self._infer(item)
                except VgilError as error:
                    results.put(InferenceError(item.serial, str(error)))
                    continue
                results.put(InferenceResult(item.serial, chunk, time.perf_counter() - began))
        except BaseException as error:
            traceback.print_exc()
            self.failure = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        self._requests.put(None)
        self._thread.join(timeout=1.0)
