"""The policy node of a trial's attempt, as a process that ends with the trial, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
STOP_S = 15.0  # for a node to hold the robot, let go of it and end


class PolicyProcess:
    """Runs one policy at a time; what it prints goes where the operator does not look, as it names the policy.

    Args:
        log: the file that it goes to.
        keep: whether a node that runs with the very same parameters stays. That saves its loading, and tells who
            watches that the policy is the same as before.
    """

    def __init__(self, log: Path, *, keep: bool = False) -> None:
        self.log, self._keep = log, keep
        self._popen: subprocess.Popen[bytes] | None = None
        self._arguments: list[str] = []

    def bring_up(self, parameters: Mapping[str, object]) -> bool:
        """Start the node with these parameters, and end the one before. Whether it was started."""
        arguments = [part for key, value in parameters.items() for part in ("-p", f"{key}:={_word(value)}")]
        if self._keep and self.alive and arguments == self._arguments:
            return False
        self.end()
        self._arguments = arguments
        parent = os.getpid()

        def set_up() -> None:
            """In the child: should we be killed, it holds the robot and ends, as on Ctrl-C."""
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "vgil_ros.nodes.policy", "--ros-args", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the trial's, which then ends the node in order
                preexec_fn=set_up,
            )
        return True

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._popen is not None and self._popen.poll() is None

    def end(self) -> None:
        """End it: it holds the robot first."""
        if self._popen is None:
            return
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGINT)
            try:
                self._popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        self._popen = None


def _word(value: object) -> str:
    """A value as ROS' command line takes it; a text that could be taken for something else stands in quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return f"'{quoted}'"
    return str(value)
