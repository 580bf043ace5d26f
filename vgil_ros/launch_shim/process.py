"""One child process: started so that it cannot outlive us, its output marked with its name, ended in three steps."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO

from vgil_ros.launch_shim.actions import ExecuteProcess

_LIBC = ctypes.CDLL(None)  # loaded before any fork
_PR_SET_PDEATHSIG = 1
_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_printing = threading.Lock()


class Process:
    """A running process of a launch.

    Attributes:
        action: the action that describes it.
    """

    def __init__(self, action: ExecuteProcess, *, own_group: bool) -> None:
        """Start it. Must be called from the main thread: the child is ended when the thread that made it ends.

        Args:
            action: its command line and environment.
            own_group: put it in a process group of its own, out of reach of signals to ours.
        """
        self.action = action
        self._step = 0
        self._next_step_at = float("inf")
        self._popen = subprocess.Popen(
            action.cmd,
            stdin=subprocess.DEVNULL,  # a node that wants keys opens the terminal itself
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **action.additional_env},
            preexec_fn=_Setup(own_group),
        )
        assert self._popen.stdout is not None
        self._reader = threading.Thread(target=_copy, args=(self._popen.stdout, action.name), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Return its exit status, minus the signal that ended it, or None while it runs."""
        return self._popen.poll()

    def finish_output(self) -> None:
        """Wait until all that it printed has been copied; what its own children hold open is not waited for."""
        self._reader.join(timeout=1.0)

    def stop(self, *, signalled: bool = False) -> None:
        """Begin to end it, or go on to the next step at once: SIGINT, then SIGTERM, then SIGKILL.

        Args:
            signalled: it has had its SIGINT already, from the terminal.
        """
        if self._step == len(_STEPS) or self.poll() is not None:
            return
        step = _STEPS[self._step]
        if not (signalled and step == signal.SIGINT):
            self._popen.send_signal(step)
        if step != signal.SIGINT:
            print(f"[launch] {self.action.name} (pid {self.pid}) is still there: sent {step.name}", flush=True)
        self._step += 1
        wait = self.action.sigterm_timeout if step == signal.SIGINT else self.action.sigkill_timeout
        self._next_step_at = time.monotonic() + wait

    def escalate(self) -> None:
        """Take the next step when its time has come."""
        if time.monotonic() >= self._next_step_at:
            self.stop()


class _Setup:
    """What the child does before it becomes its program."""

    def __init__(self, own_group: bool) -> None:
        self._own_group = own_group
        self._parent = os.getpid()

    def __call__(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if self._own_group:
            os.setpgid(0, 0)
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # if we are killed, it still closes its files
        if os.getppid() != self._parent:  # we were killed before the line above
            os._exit(1)


def _copy(pipe: IO[bytes], name: str) -> None:
    """Copy lines, each marked with the process' name; of a line that is redrawn by "\\r", its last state."""
    for raw in iter(pipe.readline, b""):
        text = raw.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
        with _printing:
            sys.stdout.write(f"[{name}] {text}\n")
            sys.stdout.flush()
