"""Work on the episodes of a data set, by several processes; first of all, episodes to pieces.

Each is converted and proved, and why one could not be is kept.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import cv2

from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.pieces import PART, publish_piece, read_piece
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.proof import prove
from vgil_ros.datasets.source import Source, open_source
from vgil_ros.episodes.errors import WriteFailed, naming_file
from vgil_ros.episodes.writing import disk

# what is the machine's fault, not an episode's: no room, a quota, too many open files
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
HDF5_ERRNO = re.compile(r"\berrno = (\d+), error message")
GOES_ON = "the same command goes on when that is mended"
KILLED = "the process that converted it was killed, for want of memory perhaps"
T = TypeVar("T")
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
    workers: int,
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

    def killed(number: int) -> str:
        _need_room(pieces)
        shutil.rmtree(_part(pieces, number), ignore_errors=True)
        return f"{plan.source / names[number]}: {KILLED}"

    with closing(each(partial(make_piece, plan, pieces), todo, workers, killed)) as results:
        for number, words in progress(results, "convert", len(todo)):
            if words is None:
                made += 1
            else:
                left_out[names[number]] = words
                shutil.rmtree(piece_folder(pieces, number), ignore_errors=True)
    return made


def each(
    call: Callable[[int], T], places: list[int], workers: int, killed: Callable[[int], T]
) -> Generator[tuple[int, T], None, None]:
    """(place, result) of each episode as it is finished, by one process or several.

    Args:
        call: what to do with the episode at a place; other processes get it, so it must be picklable.
        killed: the result where that ends its process.
    """
    if workers <= 1 or len(places) <= 1:
        yield from ((number, call(number)) for number in places)
        return
    lost = []
    with _pool(min(workers, len(places))) as pool:
        asked = {pool.submit(call, number): number for number in places}
        for one in as_completed(asked):
            try:
                result = one.result()
            except BrokenExecutor:
                lost.append(asked[one])
                continue
            yield asked.pop(one), result
    yield from _one_at_a_time(call, sorted(lost), killed)


def _one_at_a_time(call: Callable[[int], T], todo: list[int], killed: Callable[[int], T]) -> Iterator[tuple[int, T]]:
    """A process was killed, and all that were asked with it: take each episode alone, and so find which one kills."""
    while todo:
        with _pool(1) as pool:
            while todo:
                number = todo.pop(0)
                try:
                    result = pool.submit(call, number).result()
                except BrokenExecutor:
                    yield number, killed(number)
                    break
                yield number, result


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")  # libraries that run threads do not survive a fork
    pool = ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(parent: int) -> None:
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End a worker whose parent was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


@lru_cache(maxsize=1)
def opened(path: Path, layout: str | None) -> Source:
    """A data set, opened once in each process that works on its episodes."""
    return open_source(path, layout)


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
    source, sink = opened(plan.source, plan.layout), plan.sink()
    name = source.names()[number]
    shutil.rmtree(part, ignore_errors=True)
    _need_room(pieces)
    try:
        with naming_file(source.path / name, "converted"), source.open(number) as episode:
            part.mkdir()
            facts: dict[str, Any] = {"name": name, "state": source.state(number), "rows": episode.rows}
            facts |= {"task": episode.task, **sink.make(episode, part)}
            with sink.open_piece(part, facts) as written:
                if written.rows != episode.rows:
                    raise DatasetError(
                        f"{episode.path}: {written.rows} rows were written of {episode.rows}; allowed: all of them"
                    )
                facts |= prove(episode, written)
            publish_piece(part, facts, folder)
    except VgilError as error:
        shutil.rmtree(part, ignore_errors=True)
        stop_for_machine(error, folder)
        return str(error)
    return None
