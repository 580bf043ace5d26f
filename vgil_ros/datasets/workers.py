"""Episodes to pieces, by several processes: each is converted and proved, and why one could not be is kept."""

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
from functools import lru_cache
from pathlib import Path
from typing import Any

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
    with closing(_done(plan, pieces, todo, workers)) as results:
        for number, words in progress(results, "convert", len(todo)):
            if words is None:
                made += 1
            else:
                left_out[names[number]] = words
                shutil.rmtree(piece_folder(pieces, number), ignore_errors=True)
    return made


def _done(plan: Plan, pieces: Path, todo: list[int], workers: int) -> Generator[tuple[int, str | None], None, None]:
    """(place, None or why not) of each episode as it is finished."""
    if workers <= 1 or len(todo) <= 1:
        yield from ((number, make_piece(plan, pieces, number)) for number in todo)
        return
    lost = []
    with _pool(min(workers, len(todo))) as pool:
        asked = {pool.submit(make_piece, plan, pieces, number): number for number in todo}
        for one in as_completed(asked):
            try:
                yield asked[one], one.result()
            except BrokenExecutor:
                lost.append(asked[one])
    yield from _one_at_a_time(plan, pieces, sorted(lost))


def _one_at_a_time(plan: Plan, pieces: Path, todo: list[int]) -> Iterator[tuple[int, str | None]]:
    """A process was killed, and all that were asked with it: make each episode alone, and so find which one kills."""
    while todo:
        with _pool(1) as pool:
            while todo:
                number = todo.pop(0)
                try:
                    words = pool.submit(make_piece, plan, pieces, number).result()
                except BrokenExecutor:
                    _need_room(pieces)
                    name = _opened(plan.source, plan.layout).names()[number]
                    shutil.rmtree(_part(pieces, number), ignore_errors=True)
                    yield number, f"{plan.source / name}: {KILLED}"
                    break
                yield number, words


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
def _opened(path: Path, layout: str | None) -> Source:
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
    source, sink = _opened(plan.source, plan.layout), plan.sink()
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
