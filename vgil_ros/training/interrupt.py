"""Ctrl-C in a training: the first one ends it after the step under way, the second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOPPING = "stopping after this step, and saving it; Ctrl-C again stops at once"


class StopRequest:
    """While it stands, Ctrl-C sets `asked` in place of breaking off a step, which would leave weights half changed."""

    def __init__(self, *, enabled: bool = True) -> None:
        """`enabled`: False leaves Ctrl-C as it is; so does a thread other than the main one."""
        self._enabled = enabled and threading.current_thread() is threading.main_thread()
        self._before: Any = None
        self.asked = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with contextlib.suppress(OSError):  # print and the bar take locks, which the main thread may hold just now
            os.write(2, f"\n{STOPPING}\n".encode())

    def __enter__(self) -> StopRequest:
        if self._enabled:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._enabled:
            signal.signal(signal.SIGINT, self._before)
