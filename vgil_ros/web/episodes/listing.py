"""A folder's episodes, looked at bit by bit: names at once, what stands in the files as time allows.

What was seen of a file is kept until the file changes. All methods read the disk and are called in threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.where import GLANCED, facts_of
from vgil_ros.episodes.reading.glance import glance
from vgil_ros.episodes.reading.listing import Line, line_of, line_of_part

State = tuple[int, int, int]  # inode, time of change in ns, bytes
AGAIN_S = 5.0  # a file may also be changed in its place: so often every one is asked


@dataclass(frozen=True, eq=False)
class Row:
    """An episode in a list.

    Attributes:
        name: relative to the folder.
        path: its file.
        state: of the file when it was listed.
        line: what stands in it; None: nobody has looked yet.
        facts: what a `--where` sentence may speak of; None also where it cannot be read.
    """

    name: str
    path: Path
    state: State
    line: Line | None = None
    facts: dict[str, Any] | None = None

    @property
    def part(self) -> bool:
        """Whether it is being recorded, or was left by a killed recorder."""
        return self.name.endswith(naming.PART)

    @property
    def version(self) -> str:
        """Changes with the file: for addresses that a browser may keep."""
        return f"{self.state[0]:x}-{self.state[1]:x}"


class Listing:
    """The episodes of one folder, for all who look at it.

    Args:
        folder: the folder; it may be gone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._listed: tuple[int, ...] = ()
        self._asked_s = float("-inf")
        self.version = 0  # counts changes

    def rows(self) -> list[Row]:
        """Every row, by number; aborted episodes and parts behind them."""
        return list(self._rows.values())

    def row(self, name: str) -> Row | None:
        """The row of a name."""
        return self._rows.get(name)

    @property
    def pending(self) -> int:
        """Files that nobody has looked into yet."""
        return sum(row.line is None for row in self._rows.values())

    def refresh(self, *, now: bool = False) -> bool:
        """List the names again where the folder changed; gives whether anything did.

        Args:
            now: ask every file, whatever the folder says.
        """
        with self._lock:
            listed = tuple(_changed_ns(path) for path in (self.folder, self.folder / naming.ABORTED_FOLDER))
            clock = time.monotonic()
            if not now and listed == self._listed and clock - self._asked_s < AGAIN_S:
                return False
            self._listed, self._asked_s = listed, clock
            rows = {row.name: row for row in self._list()}
            if rows == self._rows and list(rows) == list(self._rows):
                return False
            self._rows = rows
            self.version += 1
            return True

    def look(self, first: Iterable[str] = (), budget_s: float = 0.2) -> bool:
        """Look into files that nobody has looked into, for so long; gives whether anything was seen.

        Args:
            first: names of those that are wanted most.
        """
        with self._lock:
            until = time.monotonic() + budget_s
            wanted = [name for name in first if name in self._rows]
            seen = False
            for name in dict.fromkeys((*wanted, *self._rows)):
                row = self._rows[name]
                if row.line is None:
                    self._rows[name] = _looked(row)
                    seen = True
                    if time.monotonic() > until:
                        break
            self.version += seen
            return seen

    def _list(self) -> Iterable[Row]:
        if not self.folder.is_dir():
            return
        files = naming.episodes_in(self.folder) + naming.aborted_in(self.folder)
        for path in (*files, *naming.parts_in(self.folder)):
            try:
                found, outside = path.stat(), path.is_symlink() and not _leads_inside(path, self.folder)
            except OSError:  # gone meanwhile
                continue
            if not outside:
                yield self._known(path, (found.st_ino, found.st_mtime_ns, found.st_size))

    def _known(self, path: Path, state: State) -> Row:
        name = path.relative_to(self.folder).as_posix()
        before = self._rows.get(name)
        if path.name.endswith(naming.PART):  # it grows all the time, and nobody reads it
            return before if before is not None else _looked(Row(name, path, state))
        return before if before is not None and before.state == state else Row(name, path, state)


def _looked(row: Row) -> Row:
    try:
        if row.part:
            return Row(row.name, row.path, row.state, line_of_part(row.path))
        seen = glance(row.path, GLANCED)
        line = line_of(row.path, row.name, seen)
        facts = facts_of(row.path, seen) if line.rows is not None else None
    except (VgilError, OSError) as error:
        words = str(error).removeprefix(f"{row.path}: ")
        return Row(row.name, row.path, row.state, Line(row.name, bytes=row.state[2], problems=(words,)))
    return Row(row.name, row.path, row.state, line, facts)


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _leads_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
