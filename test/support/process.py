"""A process whose output is collected line by line, with the time at which each line came."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from support.prefork import ForkedProcess, Server

if TYPE_CHECKING:
    from typing import Self

PATIENCE = 90.0  # s: for what must come at all, on a machine that is busy (torch alone takes 20 s to load there)


@dataclass(frozen=True)
class Line:
    """A line of output, and when it was read (time.monotonic)."""

    text: str
    at: float


class Process:
    """Starts a command, gathers stdout and stderr, and ends it by its own pid."""

    def __init__(self, popen: subprocess.Popen[str] | ForkedProcess) -> None:
        self.popen = popen
        self.lines: list[Line] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(popen.stdout,), daemon=True)
        self._reader.start()

    @classmethod
    def python(cls, arguments: Sequence[str], environment: Mapping[str, str], **options: Any) -> Self:
        """Run this interpreter, from nothing; options are subprocess.Popen's."""
        options.setdefault("stdin", subprocess.PIPE)
        return cls(
            subprocess.Popen(
                [sys.executable, *arguments],
                env=dict(environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                **options,
            )
        )

    @classmethod
    def forked(cls, server: Server, arguments: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Run `python -m` with arguments, in a fork of a server that has loaded what it needs."""
        return cls(server.start(arguments, environment))

    def _read(self, stream: IO[str]) -> None:
        for text in stream:
            with self._news:
                self.lines.append(Line(text.rstrip(), time.monotonic()))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def output(self) -> str:
        """Everything so far."""
        return "\n".join(line.text for line in self.lines)

    def mark(self) -> int:
        """The place behind the last line, for `expect`."""
        return len(self.lines)

    def expect(self, pattern: str, *, since: int = 0, timeout: float = PATIENCE) -> Line:
        """Wait for a line that matches, and return it.

        Raises:
            AssertionError: when it does not come; with all of the output.
        """
        wanted, end = re.compile(pattern), time.monotonic() + timeout
        with self._news:
            while True:
                for line in self.lines[since:]:
                    if wanted.search(line.text):
                        return line
                left = end - time.monotonic()
                ended = not self._reader.is_alive()
                if left <= 0 or ended:
                    why = "it ended" if ended else f"{timeout} s passed"
                    raise AssertionError(f"no line like '{pattern}', {why}; output:\n{self.output}")
                self._news.wait(min(left, 0.2))

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def write(self, text: str) -> None:
        """Write to its standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(text)
        self.popen.stdin.flush()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end; return the exit code."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it does not end; output:\n{self.output}") from error
        self._reader.join(2.0)
        return code

    def kill(self) -> None:
        """End it now, as the kernel would."""
        self.send(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """End it if it still runs."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(5.0)  # killed, it may leave shared memory locked
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self._reader.join(2.0)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()
