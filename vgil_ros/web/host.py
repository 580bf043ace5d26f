"""The computer that the page runs on: CPU, memory, and how fast a folder's episodes grow. Read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PARTS = "*.part"


@dataclass(frozen=True, slots=True)
class HostFigures:
    """CPU in cores that work, of `cores`; memory in bytes."""

    cpu: float
    cores: int
    memory: int
    memory_total: int


class HostWatch:
    """Reads the computer's figures; the CPU's is that between two readings."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._last: tuple[int, int] | None = None

    def read(self) -> HostFigures | None:
        """The figures; None where there is no /proc."""
        try:
            stat = (self._proc / "stat").read_text()
            meminfo = (self._proc / "meminfo").read_text()
        except OSError:
            return None
        busy, total = cpu_times(stat)
        before, self._last = self._last, (busy, total)
        cores = os.cpu_count() or 1
        share = 0.0 if before is None or total == before[1] else (busy - before[0]) / (total - before[1])
        used, whole = memory(meminfo)
        return HostFigures(share * cores, cores, used, whole)


def cpu_times(stat: str) -> tuple[int, int]:
    """(busy, all) ticks of all cores, of /proc/stat. Source: proc(5)."""
    numbers = [int(word) for word in stat.splitlines()[0].split()[1:9]]
    idle = numbers[3] + numbers[4]
    return sum(numbers) - idle, sum(numbers)


def memory(meminfo: str) -> tuple[int, int]:
    """(used, all) bytes, of /proc/meminfo. Source: proc(5)."""
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in meminfo.splitlines() if ":" in line}
    return found["MemTotal"] - found.get("MemAvailable", found["MemFree"]), found["MemTotal"]


class GrowthWatch:
    """How fast what is being recorded into a folder grows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: tuple[float, str, int] | None = None
        self.bytes_per_s: float | None = None  # of the episode that was recorded last

    def read(self, now_s: float) -> float | None:
        """Bytes a second; None before any was seen."""
        try:
            newest = max(self._folder.glob(PARTS), key=lambda path: path.stat().st_mtime, default=None)
            size = newest.stat().st_size if newest is not None else 0
        except OSError:  # it was renamed just now
            return self.bytes_per_s
        if newest is None:
            self._last = None
            return self.bytes_per_s
        before = self._last
        if before is None or before[1] != newest.name:
            self._last = (now_s, newest.name, size)
        elif now_s - before[0] >= 2.0:
            if size > before[2]:
                self.bytes_per_s = (size - before[2]) / (now_s - before[0])
            self._last = (now_s, newest.name, size)
        return self.bytes_per_s
