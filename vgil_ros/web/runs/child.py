"""A `vgil` command that runs beside the page: it outlives page and browser, and is found again by both.

Its folder keeps who it is (process id, and when that process began: a number alone may be another's later), what it
printed, and how it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vgil_ros.core.errors import VgilError
from vgil_ros.core.files import write_whole

NICE = 10  # it gives way to robot and recorder
TAIL = 16_000  # bytes of the output that are looked at
# `vgil`, that hears SIGINT from its first line on: whoever was started by a shell in the background has it ignored
MAIN = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv[0] = 'vgil';"
    " from vgil_ros.cli.main import main; main()"
)
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Child:
    """A command that was started.

    Attributes:
        pid: process id, which was its own at the time.
        began: when the process began, in ticks of the kernel's since it was booted.
        boot: which boot that was.
        command: what it runs.
        asked_to_stop: whether the page sent it SIGINT.
        code: how it ended; None while it runs, or where nobody was there to see it.
    """

    pid: int
    began: int
    boot: str
    command: tuple[str, ...]
    asked_to_stop: bool = False
    code: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs still."""
        return self.code is None and self.boot == _boot() and _began(self.pid) == self.began


class ChildFiles:
    """The files of one kind of command in a run's folder.

    Args:
        folder: of the run.
        kind: "train", "eval".
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._note, self.output = folder / f"{kind}_process.json", folder / f"{kind}_output.txt"

    def read(self) -> Child | None:
        """The last one that was started here; None where there was none."""
        try:
            values = json.loads(self._note.read_text(encoding="utf-8"))
            return Child(**{**values, "command": tuple(values["command"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def start(self, arguments: Sequence[str]) -> Child:
        """Run `vgil ARGUMENTS` in a session of its own, niced; what it prints goes to `output`.

        Raises:
            VgilError: where one runs here already, or it cannot be started.
        """
        if (before := self.read()) is not None and before.alive:
            raise VgilError(f"{self._note.parent}: is being worked on by process {before.pid}; allowed: one at a time")
        command = (sys.executable, "-c", MAIN, *arguments)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "2"}
        try:
            with self.output.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise VgilError(f"'vgil {' '.join(arguments)}' cannot be started: {error}") from error
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        child = Child(process.pid, _began(process.pid) or 0, _boot(), command)
        self._write(child)
        threading.Thread(target=self._wait, args=(process,), name="child", daemon=True).start()
        return child

    def stop(self) -> None:
        """Send it SIGINT, as Ctrl-C does: a training saves the step under way.

        Raises:
            VgilError: where none runs.
        """
        child = self.read()
        if child is None or not child.alive:
            raise VgilError(f"{self._note.parent.name}: no process of the page's is found; allowed: one that runs")
        self._write(replace(child, asked_to_stop=True))
        os.kill(child.pid, signal.SIGINT)

    def words(self, lines: int = 12) -> list[str]:
        """The last lines of its output; of a progress bar, as it was drawn last."""
        try:
            with self.output.open("rb") as file:
                file.seek(max(0, self.output.stat().st_size - TAIL))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        shown = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
        return [line for line in shown if line][-lines:]

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if (child := self.read()) is not None and child.pid == process.pid:
            with contextlib.suppress(OSError):  # its folder may be gone by now
                self._write(replace(child, code=code))

    def _write(self, child: Child) -> None:
        write_whole(self._note, json.dumps(asdict(child), indent=1))


def _boot() -> str:
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _began(pid: int) -> int | None:
    """When a process began, in ticks since the boot; None where there is none, or it has ended and nobody waited."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # behind the name, which may hold anything
    return None if fields[0] in "ZX" else int(fields[19])
