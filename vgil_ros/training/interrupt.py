"""Ctrl-C in a training: the first one ends it after the step under way, the second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOPPING = "stopping after this step, and saving it"


class StopRequest:
    """While it stands, Ctrl-C sets `asked` in place of breaking off a step, which would leave weights half changed.

    In a thread other than the main one it leaves Ctrl-C as it is.
    """

    def __init__(self, *, rank: int = 0, processes: int = 1) -> None:
        """Of several `processes` the first one says it, and a second Ctrl-C is left to what started them: `torchrun`
        sends each of them one more, and whoever left at once would leave the others waiting for it.
        """
        self._enabled = threading.current_thread() is threading.main_thread()
        self._alone, self._says = processes == 1, rank == 0
        self._before: Any = None
        self.asked = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked and self._alone:
            raise KeyboardInterrupt
        if self._says and not self.asked:
            words = STOPPING + ("; Ctrl-C again stops at once" if self._alone else "")
            with contextlib.suppress(OSError):  # print and the bar take locks, which the main thread may hold just now
                os.write(2, f"\n{words}\n".encode())
        self.asked = True

    def __enter__(self) -> StopRequest:
        if self._enabled:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._enabled:
            signal.signal(signal.SIGINT, self._before)
