"""Broken inputs by the hundred, each tried in a process of its own kind: what a reader must never do with one.

A *target* is a function of one input. It may return, or raise an error of ours; all else is a failure: another
exception, more than some seconds, more than some memory, the end of the process by a signal, a file opened for writing
outside its folder, a program started, a connection made. `run` gives each input to a forked worker, which is forked
anew after a failure; what the worker had loaded before (the parent's modules) is not loaded again.

    outcomes = fuzz.run(target, [("seed 7", data), ...], folder=tmp_path)
    assert not fuzz.failures(outcomes)

Inputs are made by the caller from fixed seeds, so that a failure can be made again from its name.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import pickle
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from vgil_ros.core.errors import VgilError

Kind = Literal["fine", "refused", "exception", "hang", "memory", "signal", "escape"]
GIB = 1 << 30
# What no reader of data has to do with; Python reports it before it happens (PEP 578).
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn",
    "socket.connect", "socket.bind", "ctypes.dlopen", "ctypes.dlsym", "signal.pthread_kill", "os.kill",
)  # fmt: skip
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    Attributes:
        name: the input's.
        kind: "fine" and "refused" (an error of ours) are as it should be.
        words: the error, or what was done that must not be.
        seconds, bytes: taken, and memory beyond what the worker had before.
    """

    name: str
    kind: Kind
    words: str = ""
    seconds: float = 0.0
    bytes: int = 0

    @property
    def good(self) -> bool:
        """Whether the reader did what it should."""
        return self.kind in ("fine", "refused")

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.name}: {self.kind} ({self.seconds:.1f} s, {self.bytes >> 20} MiB) {self.words}"


def run(
    target: Callable[[Any], object],
    inputs: Iterable[tuple[str, Any]],
    *,
    folder: Path,
    seconds: float = 10.0,
    memory: int = GIB,
    errors: tuple[type[BaseException], ...] = (VgilError,),
    forbidden: Sequence[str] = FORBIDDEN,
) -> list[Outcome]:
    """Give each input to the target and return what came of it, in order.

    Args:
        target: the function under test; what it returns is not looked at.
        inputs: names and values. A value is handed to a fork, so it need not be picklable.
        folder: the only place where the target may write. It is the worker's working directory.
        seconds: the longest that one input may take of a processor's time; on the clock, six times that.
        memory: bytes that one input may take beyond what the worker has.
        errors: exceptions that are the right answer.
        forbidden: audit events that are failures.
    """
    outcomes: list[Outcome] = []
    todo = list(inputs)
    while len(outcomes) < len(todo):
        outcomes += _one_worker(
            target, todo[len(outcomes) :], folder, seconds, _Rules(memory, errors, tuple(forbidden))
        )
    return outcomes


def failures(outcomes: Iterable[Outcome]) -> list[str]:
    """Return what must not be, in words."""
    return [str(outcome) for outcome in outcomes if not outcome.good]


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return how many of each kind there were, the slowest and the largest."""
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(o.kind for o in outcomes).most_common())
    slowest, largest = max(o.seconds for o in outcomes), max(o.bytes for o in outcomes)
    return f"{len(outcomes)} inputs: {counts}; at most {slowest:.1f} s and {largest >> 20} MiB"


# ---- making inputs


def flipped(data: bytes, rng: np.random.RandomState) -> bytes:
    """Return bytes with one to eight of them changed, a run overwritten, or the end cut off."""
    out = bytearray(data)
    kind = rng.randint(10)
    if kind == 0:
        return bytes(out[: rng.randint(len(out))])
    if kind == 1:
        start, size = rng.randint(len(out)), rng.randint(1, 64)
        out[start : start + size] = rng.bytes(len(out[start : start + size]))
        return bytes(out)
    for _ in range(rng.randint(1, 9)):
        at = rng.randint(len(out))
        out[at] = rng.choice([rng.randint(256), out[at] ^ (1 << rng.randint(8)), 0, 255])
    return bytes(out)


# ---- the worker


@dataclass(frozen=True)
class _Rules:
    memory: int
    errors: tuple[type[BaseException], ...]
    forbidden: tuple[str, ...]


def _one_worker(
    target: Callable[[Any], object], todo: Sequence[tuple[str, Any]], folder: Path, seconds: float, rules: _Rules
) -> list[Outcome]:
    """Return outcomes up to and with the first that cost the worker its life."""
    there, here = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(there)
        _work(target, todo, folder, rules, here)
    os.close(here)
    outcomes: list[Outcome] = []
    status = None
    try:
        while len(outcomes) < len(todo):
            began = time.monotonic()
            if not _answers(there, pid, seconds):
                took = time.monotonic() - began
                return [*outcomes, Outcome(todo[len(outcomes)][0], "hang", f"longer than {seconds:g} s", took)]
            report = _receive(there)
            if report is None:
                status = os.waitpid(pid, 0)[1]
                words = f"the process ended: {_ending(status)}"
                outcomes.append(Outcome(todo[len(outcomes)][0], "signal", words, time.monotonic() - began))
                return outcomes
            outcomes.append(report)
            if not report.good:
                return outcomes  # it may have harmed what the next ones would meet
        return outcomes
    finally:
        os.close(there)
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answers(pipe: int, pid: int, seconds: float) -> bool:
    """Wait for a report. What counts is the worker's own time, as the machine may be busy with others, or six times
    as long on the clock, as a worker may wait for what never comes; that it waits for a processor does not count.
    """
    began, used, queued = time.monotonic(), _processor_seconds(pid), _queued_seconds(pid)
    while not select.select([pipe], [], [], 0.1)[0]:
        waited = time.monotonic() - began - (_queued_seconds(pid) - queued)
        if _processor_seconds(pid) - used > seconds or waited > 6 * seconds:
            return False
    return True


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _queued_seconds(pid: int) -> float:
    """How long a process could have run and had no processor."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):  # a kernel that does not count it
        return 0.0


def _work(
    target: Callable[[Any], object], todo: Sequence[tuple[str, Any]], folder: Path, rules: _Rules, pipe: int
) -> NoReturn:
    """In the fork: never returns, and nothing of the parent's clean-up runs."""
    try:
        os.chdir(folder)
        _silence()
        faulthandler.disable()  # a death by signal is an outcome, told by the parent
        gc.freeze()
        watch = _Watch(folder.resolve(), rules.forbidden)
        sys.addaudithook(watch)
        for name, value in todo:
            data = pickle.dumps(_try(target, name, value, rules, watch))
            os.write(pipe, struct.pack("<I", len(data)) + data)
    except BaseException:
        os._exit(70)
    os._exit(0)


def _try(target: Callable[[Any], object], name: str, value: Any, rules: _Rules, watch: _Watch) -> Outcome:
    before = _peak(reset=True)
    began = time.monotonic()
    kind: Kind = "fine"
    words = ""
    watch.seen = ""
    with _limited(rules.memory):
        try:
            watch.on = True
            target(value)
        except rules.errors as error:
            kind, words = "refused", " ".join(str(error).split())[:300]
            if _short_of_memory(error):
                kind = "memory"
        except MemoryError:
            kind, words = "memory", "MemoryError"
        except BaseException as error:
            where = " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in _frames(error)[::-1][:4])
            kind, words = "exception", f"{type(error).__name__}: {str(error)[:200]} ({where})"
        finally:
            watch.on = False
    taken = max(0, _peak() - before)
    if watch.seen:
        kind, words = "escape", watch.seen
    elif taken > rules.memory:
        kind = "memory"
    return Outcome(name, kind, words, time.monotonic() - began, taken)


class _Watch:
    """An audit hook: remembers the first thing done that must not be."""

    def __init__(self, folder: Path, forbidden: tuple[str, ...]) -> None:
        self._inside = str(folder) + os.sep
        self._forbidden = frozenset(forbidden)
        self.on, self.seen = False, ""

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or self.seen:
            return
        if event in self._forbidden:
            self.seen = f"{event} {arguments!r:.200}"
        elif event == "open" and _writes(arguments) and not self._may(arguments[0]):
            self.seen = f"opened {arguments[0]!r} for writing"
        elif event in CHANGES and not self._may(arguments[0]):
            self.seen = f"{event} {arguments[0]!r}"

    def _may(self, path: object) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return True  # a descriptor, which was opened before
        full = os.path.realpath(os.fsdecode(path))
        return full.startswith(self._inside) or full == "/dev/null"


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(int(flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@contextlib.contextmanager
def _limited(memory: int) -> Iterator[None]:
    """Let the process' address space grow by so much and no more."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _peak(*, reset: bool = False) -> int:
    """Return the most memory that was resident, in bytes, since the last reset."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _short_of_memory(error: BaseException | None) -> bool:
    """Whether an error of ours hides that memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(error.__traceback__))


def _silence() -> None:
    """What targets print goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _receive(pipe: int) -> Outcome | None:
    head = _exactly(pipe, 4)
    data = _exactly(pipe, struct.unpack("<I", head)[0]) if len(head) == 4 else b""
    return pickle.loads(data) if data else None


def _exactly(pipe: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := os.read(pipe, size - len(data))):
        data += piece
    return data


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
