"""Python processes that begin with heavy modules loaded already: forks of a server that imported them once.

torch takes two seconds of a processor to load, and one file of tests starts up to twenty nodes. What a fork runs, its
exit code, signals and streams are those of `python -m MODULE ...`; only the imports are done before. The server is this
module itself: `python -m support.prefork FD MODULE...`, over a socket that takes one request a message.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

MOST = 1 << 20  # bytes of a request


class ForkedProcess:
    """A started fork, with the part of subprocess.Popen's interface that tests use. Its streams are text."""

    def __init__(self, control: socket.socket, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        stdin, given = os.pipe()
        taken, stdout = os.pipe()
        self._status, status = os.pipe()
        request = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        socket.send_fds(control, [request], [stdin, stdout, status])
        for descriptor in (stdin, stdout, status):
            os.close(descriptor)
        self.stdin: IO[str] = os.fdopen(given, "w", encoding="utf-8")
        self.stdout: IO[str] = os.fdopen(taken, encoding="utf-8", errors="replace")
        self.pid = int(os.read(self._status, 20))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code.

        Raises:
            subprocess.TimeoutExpired: where it still runs after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self.returncode = os.waitstatus_to_exitcode(int(os.read(self._status, 20)))
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Server:
    """Forks processes that have some modules loaded. It ends with `close`, or with the process that started it."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.prefork", str(theirs.fileno()), *modules],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> ForkedProcess:
        """Run `python -m` with arguments; the environment is all of it, as subprocess takes it."""
        return ForkedProcess(self._control, arguments, environment)

    def close(self) -> None:
        """End the server. What it started goes on."""
        self._control.close()
        self._process.wait()


def _report(status: int, number: int) -> None:
    os.write(status, f"{number}\n".encode().ljust(20))


def _fork_and_watch(status: int) -> None:
    """Go on as the process that was asked for; what forked it waits for its end, tells it, and ends."""
    pid = os.fork()
    if pid == 0:
        os.close(status)
        return
    _report(status, pid)
    for descriptor in (0, 1, 2):  # the other end must see the end of the process itself
        os.close(descriptor)
    _report(status, os.waitpid(pid, 0)[1])
    os._exit(0)


def _serve(control: socket.socket) -> list[str]:
    """Fork as asked; returns in a fork, with streams and environment as asked, what that is to run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the tests, which end what they started
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watchers
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, MOST, 3)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stdin, stdout, status = descriptors
    for descriptor, place in ((stdin, 0), (stdout, 1), (stdout, 2)):
        os.dup2(descriptor, place)
    os.close(stdin)
    os.close(stdout)
    _fork_and_watch(status)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked = json.loads(request)
    os.environ.clear()
    os.environ.update(asked["environment"])
    return list(asked["arguments"])


def main() -> None:
    """Load the modules, serve, and in a fork be `python -m MODULE ...` until its end."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        importlib.import_module(module)
    module, *rest = _serve(control)
    sys.argv = [module, *rest]
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(place, "w", buffering=1, encoding="utf-8", closefd=False) for place in (1, 2))
    sys.modules.pop(module, None)  # it runs as the main program, for the first time
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code
    _leave(code)


def _leave(code: object) -> None:
    """End as the interpreter does, without the exit handlers of C: LTTng's, which ROS 2 brings along, ends threads that
    stayed behind in the server, and dies of it (SIGSEGV) in one that was forked."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(int(code or 0))


if __name__ == "__main__":
    main()
