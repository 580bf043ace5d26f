"""A node as a child process of this one: started, its output kept, ended in three steps; it does not outlive us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence

LINES = 400  # of its output that are kept
STEPS = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))  # and how long it gets after each, s


class ChildNode:
    """A running node.

    One thread starts it, reads what it prints and waits for it: as that thread lives as long as the child does, the
    child is interrupted by the kernel only when this whole process ends (see `tethered`). It has a session of its own:
    Ctrl-C in our terminal is for us, who then end it.

    Args:
        name: the executable's name.
        arguments: what follows it on the command line.
    """

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._command = [sys.executable, "-m", f"{__package__}.tethered", str(os.getpid()), name, *arguments]
        self._lines: deque[str] = deque(maxlen=LINES)
        self._popen: subprocess.Popen[str] | None = None
        self._told = -1  # the last of STEPS that was taken
        self.exit_code: int | None = None
        self._ended = threading.Event()
        begun = threading.Event()
        threading.Thread(target=self._run, args=(begun,), name=f"child {name}", daemon=True).start()
        begun.wait()

    def _run(self, begun: threading.Event) -> None:
        try:
            self._popen = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        except OSError as error:
            self._lines.append(f"error: {self._command[0]} cannot be run ({error.strerror})")
            self.exit_code = 127
            return
        finally:
            begun.set()
            if self._popen is None:
                self._ended.set()
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            text = line.rstrip()
            self._lines.append(text)
            with contextlib.suppress(OSError):  # nobody reads our own output any more
                print(f"[{self.name}] {text}", flush=True)
        self.exit_code = self._popen.wait()
        self._ended.set()

    @property
    def pid(self) -> int | None:
        """Its process id; None where it could not be started."""
        return self._popen.pid if self._popen is not None else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self._ended.is_set()

    @property
    def ending(self) -> bool:
        """Whether it was asked to end."""
        return self._told >= 0

    @property
    def lines(self) -> tuple[str, ...]:
        """The last that it printed."""
        return tuple(self._lines)

    def end(self) -> int | None:
        """Ask it to end, wait, and ask more firmly; returns its exit code. Who comes second waits with the first."""
        for step, (number, patience_s) in enumerate(STEPS):
            if step > self._told and self.alive and self._popen is not None:
                self._told = step
                self._popen.send_signal(number)
            if self._ended.wait(patience_s):
                break
        return self.exit_code
