"""Single key presses from the terminal, while it stays usable for output."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from queue import Empty, SimpleQueue
from typing import Any


class Keys:
    """Reads keys in a thread of its own; the terminal is put back as it was by `close`.

    `ros2 launch` gives its nodes no standard input, so the controlling terminal is opened instead. Where there is
    none, or another program stands in its foreground, `available` is False and no key ever comes.
    """

    def __init__(self) -> None:
        self._keys: SimpleQueue[str] = SimpleQueue()
        self._stop = threading.Event()
        self._file: int | None = None
        self._before: list[Any] | None = None
        with contextlib.suppress(OSError, termios.error):
            self._open()
        if self.available:
            self._thread = threading.Thread(target=self._read, name="keys", daemon=True)
            self._thread.start()

    @property
    def available(self) -> bool:
        """Whether keys can come."""
        return self._before is not None

    def _open(self) -> None:
        own = sys.stdin is not None and sys.stdin.isatty()
        self._file = sys.stdin.fileno() if own else os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK)
        if os.tcgetpgrp(self._file) != os.getpgrp():
            return  # reading from the background would stop this process
        before = termios.tcgetattr(self._file)
        tty.setcbreak(self._file, termios.TCSANOW)
        self._before = before

    def _read(self) -> None:
        assert self._file is not None
        while not self._stop.is_set():
            ready, _, _ = select.select([self._file], [], [], 0.1)
            if not ready:
                continue
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._file, 16)
                if not data:
                    return
                for key in data.decode(errors="ignore"):
                    self._keys.put(key)

    def pressed(self) -> list[str]:
        """The keys since the last call."""
        out = []
        with contextlib.suppress(Empty):
            while True:
                out.append(self._keys.get_nowait())
        return out

    def close(self) -> None:
        """Put the terminal back as it was."""
        self._stop.set()
        if self._before is not None and self._file is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
            self._before = None
