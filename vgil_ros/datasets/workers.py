"""Episodes to pieces, by one process or several: each is converted and proved, and why one could not be is kept."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.pieces import PART, publish_piece, read_piece
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.proof import prove
from vgil_ros.datasets.schema import Shape
from vgil_ros.datasets.source import Source, open_source
from vgil_ros.datasets.stored import task_runs
from vgil_ros.episodes.errors import WriteFailed, naming_file
from vgil_ros.episodes.writing import disk
from vgil_ros.parallel import Executor, Outcome, Work, WorkerKilled
from vgil_ros.parallel.shared_folder import see

# what is the machine's fault, not an episode's: no room, a quota, too many open files
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
HDF5_ERRNO = re.compile(r"\berrno = (\d+), error message")
GOES_ON = "the same command goes on when that is mended"
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]  # (items, what is done, how many)


def piece_folder(pieces: Path, number: int) -> Path:
    """Where the piece of the episode at a place lies."""
    return pieces / f"{number:06d}"


def make_pieces(
    source: Source,
    plan: Plan,
    pieces: Path,
    usable: list[int],
    left_out: dict[str, str],
    pool: Executor,
    progress: Progress,
) -> int:
    """Make the pieces that are not there yet; gives how many were made."""
    names = source.names()
    todo = []
    for number in usable:
        piece = read_piece(piece_folder(pieces, number))
        if piece is None or piece.name != names[number] or piece.facts["state"] != source.state(number):
            todo.append(number)
    made = 0
    work = PieceWork(plan, pieces, tuple(names))
    with closing(pool.map(work, todo)) as outcomes:
        for outcome in progress(outcomes, "convert", len(todo)):
            words = _words(outcome, pieces)
            if words is None:
                folder = piece_folder(pieces, outcome.item)
                see(folder, partial(_is_piece, folder))
                made += 1
            else:
                left_out[names[outcome.item]] = words
                shutil.rmtree(piece_folder(pieces, outcome.item), ignore_errors=True)
    return made


def _is_piece(folder: Path) -> bool:
    return read_piece(folder) is not None


def _words(outcome: Outcome[int, str | None], pieces: Path) -> str | None:
    """Why an episode could not be converted, or None.

    Raises:
        DatasetError: no episode could be converted now.
    """
    if isinstance(outcome.error, WorkerKilled):
        _need_room(pieces)
        shutil.rmtree(_part(pieces, outcome.item), ignore_errors=True)
        return str(outcome.error)
    return outcome.result()


@dataclass(frozen=True)
class SurveyWork(Work[int, "Shape | str"]):
    """Looks at episodes, by their places: gives the shape of each, or why it cannot be converted."""

    plan: Plan
    names: tuple[str, ...]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], Shape | str]]:
        """See `Work.open`."""
        yield self._look

    def _look(self, number: int) -> Shape | str:
        source, _ = opened(self.plan.source, self.plan.layout)
        where = source.path / self.names[number]
        try:
            with naming_file(where), source.open(number) as episode:
                if not episode.rows:
                    raise DatasetError(f"{episode.path}: has no row to convert; allowed: at least one")
                return Shape.of(episode, self.plan.rate_hz)
        except VgilError as error:
            stop_for_machine(error, where)
            return str(error)

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return str(self.plan.source / self.names[item])


@dataclass(frozen=True)
class PieceWork(Work[int, "str | None"]):
    """Makes the pieces of episodes, which are named by their places."""

    plan: Plan
    pieces: Path
    names: tuple[str, ...]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], str | None]]:
        """See `Work.open`."""
        yield lambda number: make_piece(self.plan, self.pieces, number)

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return str(self.plan.source / self.names[item])


@lru_cache(maxsize=1)
def opened(path: Path, layout: str | None) -> tuple[Source, tuple[str, ...]]:
    """A data set and its names, opened once in each process that works on its episodes."""
    source = open_source(path, layout)
    return source, tuple(source.names())


def _part(pieces: Path, number: int) -> Path:
    folder = piece_folder(pieces, number)
    return folder.with_name(f"{folder.name}{PART}")


def stop_for_machine(error: VgilError, where: Path) -> None:
    """Raise DatasetError where an episode is not to blame: the others would fail like it, and be left out like it."""
    cause: BaseException | None = error
    while cause is not None:
        told = cause.errno if isinstance(cause, OSError) else None
        if (within := HDF5_ERRNO.search(str(cause))) is not None:  # whatever the class, as RuntimeError
            told = int(within[1])
        if isinstance(cause, WriteFailed) or told in MACHINE:
            words = os.strerror(told) if told is not None else "cannot be written"
            raise DatasetError(f"{where}: {words}; {GOES_ON} ({error})") from error
        cause = cause.__cause__


def _need_room(pieces: Path) -> None:
    """Stop while there is room: on a full disk HDF5 may end the process, which would look like the episode's fault."""
    free = disk.free_bytes(pieces)
    if free < disk.STOP_FREE:
        raise DatasetError(
            f"{pieces}: {free / disk.MIB:.0f} MiB free on this disk; "
            f"allowed: at least {disk.STOP_FREE / disk.MIB:.0f}; {GOES_ON}"
        )


def make_piece(plan: Plan, pieces: Path, number: int) -> str | None:
    """Convert one episode and prove it; gives why it could not be, or None.

    Raises:
        DatasetError: no episode could be converted now, as on a full disk.
    """
    folder, part = piece_folder(pieces, number), _part(pieces, number)
    (source, names), sink = opened(plan.source, plan.layout), plan.sink()
    name = names[number]
    shutil.rmtree(part, ignore_errors=True)
    _need_room(pieces)
    try:
        with naming_file(source.path / name, "converted"), source.open(number) as episode:
            part.mkdir()
            facts: dict[str, Any] = {"name": name, "state": source.state(number), "rows": episode.rows}
            facts |= {"tasks": task_runs(episode), **sink.make(episode, part)}
            with sink.open_piece(part, facts) as written:
                if written.rows != episode.rows:
                    raise DatasetError(
                        f"{episode.path}: {written.rows} rows were written of {episode.rows}; allowed: all of them"
                    )
                facts |= prove(episode, written, facts.get("videos", {}))
            publish_piece(part, facts, folder)
    except VgilError as error:
        shutil.rmtree(part, ignore_errors=True)
        stop_for_machine(error, folder)
        return str(error)
    return None
