"""A whole data set into another layout, by several processes; a run that was killed goes on where it was.

Beside the result lies `.making` until it is whole: the plan, a piece for each finished episode, and `out`, the data set
while it is put together. What is published at the end are renames, the manifest last.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2

import vgil_ros
from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.manifest import FORMAT, MANIFEST, read_manifest
from vgil_ros.datasets.pieces import PART, Piece, publish_piece, read_piece, write_json
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.proof import prove
from vgil_ros.datasets.schema import Shape
from vgil_ros.datasets.source import Source, open_source
from vgil_ros.episodes.errors import naming_file

MAKING, PLAN, PIECES, OUT, ASSEMBLED = ".making", "plan.json", "pieces", "out", "assembled"
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]  # (items, what is done, how many)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What was done.

    Attributes:
        out: the data set. episodes: how many it holds. made: in this run.
        left_out: why, by the name of each episode that is not in it.
    """

    out: Path
    episodes: int
    made: int
    left_out: dict[str, str]


def _plain(items: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    return items


def convert_dataset(
    plan: Plan, out: Path, *, workers: int = 1, progress: Progress = _plain, say: Say = lambda _: None
) -> Result:
    """Convert, or go on with a conversion that was cut off.

    Args:
        out: the new folder; it must not exist, be empty, or be one that the same conversion left behind.
        workers: processes, each with one episode at a time.

    Raises:
        DatasetError: a plan that cannot be, a folder that holds something else, or no episode that can be converted.
    """
    plan = plan.checked()
    source = open_source(plan.source, plan.layout)
    making = out / MAKING
    if (out / MANIFEST).is_file():
        return _finish_published(out, making)
    _claim(out, making)
    usable, left_out, shape = survey(source, plan, progress)
    plan = plan.model_copy(update={"shape": shape})
    _same_plan(making / PLAN, plan)
    made = _make_pieces(source, plan, making / PIECES, usable, left_out, workers, progress)
    pieces = [piece for number in usable if (piece := read_piece(_folder(making / PIECES, number))) is not None]
    if not pieces:
        first = next(iter(left_out.items()), ("", "no episode"))
        raise DatasetError(
            f"{plan.source}: none of {len(source.names())} episodes can be converted; the first: {first[1]}"
        )
    _assemble(plan, pieces, making, left_out, say)
    _publish(making / OUT, out)
    shutil.rmtree(making)
    return Result(out, len(pieces), made, left_out)


def _claim(out: Path, making: Path) -> None:
    try:
        if out.is_dir() and not making.is_dir() and any(out.iterdir()):
            raise DatasetError(f"{out}: is there already, and no conversion that was cut off; nothing is overwritten")
        (making / PIECES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{out}: cannot be made a folder ({error.strerror})") from error


def _finish_published(out: Path, making: Path) -> Result:
    """A run that was killed after its last rename is done but for the tidying up."""
    if not making.is_dir():
        raise DatasetError(
            f"{out}: holds a whole data set already, with its {MANIFEST}; nothing is overwritten; allowed: a new folder"
        )
    manifest = read_manifest(out)
    shutil.rmtree(making)
    return Result(out, len(manifest["episodes"]), 0, dict(manifest["left_out"]))


def _same_plan(path: Path, plan: Plan) -> None:
    """Keep the plan; a run that goes on must have the one it began with.

    Raises:
        DatasetError: naming what differs.
    """
    values = plan.model_dump(mode="json")
    if not path.is_file():
        write_json(path, values)
        return
    before = Plan.model_validate_json(path.read_text(encoding="utf-8")).model_dump(mode="json")
    differing = [
        f"{key}: {_short(before[key])}, now {_short(values[key])}" for key in values if before[key] != values[key]
    ]
    if differing:
        raise DatasetError(
            f"{path.parent}: a conversion was cut off that had {'; '.join(differing)}; go on with it as it was, or "
            "remove the folder"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def survey(source: Source, plan: Plan, progress: Progress) -> tuple[list[int], dict[str, str], Shape | None]:
    """Look at every episode: (places of those that can be converted, why not by name, the shape of all)."""
    usable: list[int] = []
    left_out: dict[str, str] = {}
    whole: Shape | None = None
    names = source.names()
    for number, name in enumerate(progress(names, "survey", len(names))):
        try:
            with naming_file(source.path / name), source.open(number) as episode:
                if not episode.rows:
                    raise DatasetError(f"{episode.path}: has no row to convert; allowed: at least one")
                shape = Shape.of(episode, plan.rate_hz)
        except VgilError as error:
            left_out[name] = str(error)
            continue
        if plan.one_shape and whole is not None and (words := whole.differs(shape)):
            left_out[name] = f"{source.path / name}: {words}; allowed: the same in all episodes of a data set"
            continue
        whole = shape if whole is None else whole.with_another(shape)
        usable.append(number)
    return usable, left_out, whole if plan.one_shape else None


def _folder(pieces: Path, number: int) -> Path:
    return pieces / f"{number:06d}"


def _make_pieces(
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
        piece = read_piece(_folder(pieces, number))
        if piece is None or piece.name != names[number] or piece.facts["state"] != source.state(number):
            todo.append(number)
    made = 0
    with _done(plan, pieces, todo, workers) as results:
        for number, words in progress(results, "convert", len(todo)):
            if words is None:
                made += 1
            else:
                left_out[names[number]] = words
                shutil.rmtree(_folder(pieces, number), ignore_errors=True)
    return made


@contextmanager
def _done(plan: Plan, pieces: Path, todo: list[int], workers: int) -> Iterator[Iterator[tuple[int, str | None]]]:
    """(place, None or why not) of each episode as it is finished."""
    if workers <= 1 or len(todo) <= 1:
        yield ((number, make_piece(plan, pieces, number)) for number in todo)
        return
    context = multiprocessing.get_context("spawn")  # libraries that run threads do not survive a fork
    pool = ProcessPoolExecutor(min(workers, len(todo)), context, _start_worker, (os.getpid(),))
    try:
        asked = {pool.submit(make_piece, plan, pieces, number): number for number in todo}
        yield ((asked[one], one.result()) for one in as_completed(asked))
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


def make_piece(plan: Plan, pieces: Path, number: int) -> str | None:
    """Convert one episode and prove it; gives why it could not be, or None."""
    folder = _folder(pieces, number)
    part = folder.with_name(f"{folder.name}{PART}")
    source, sink = _opened(plan.source, plan.layout), plan.sink()
    name = source.names()[number]
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        with naming_file(source.path / name, "converted"), source.open(number) as episode:
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
        return str(error)
    return None


def _assemble(plan: Plan, pieces: list[Piece], making: Path, left_out: dict[str, str], say: Say) -> None:
    """Put the data set together; done once, as a killed run finds by a mark."""
    if (making / ASSEMBLED).is_file():
        return
    out = making / OUT
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    say(f"putting {len(pieces)} episodes together")
    names = plan.sink().assemble(pieces, out)
    episodes = [
        {
            "name": name,
            "source": piece.name,
            "rows": piece.rows,
            **{key: piece.facts[key] for key in ("streams", "timing")},
        }
        for name, piece in zip(names, pieces, strict=True)
    ]
    manifest = {
        "format": FORMAT,
        "software": f"vgil_ros {vgil_ros.__version__}",
        "source": str(plan.source),
        "to": plan.to,
        "images": plan.images,
        "quality": plan.quality,
        "episodes": episodes,
        "left_out": left_out,
    }
    write_json(out / MANIFEST, manifest)
    (making / ASSEMBLED).touch()


def _publish(made: Path, out: Path) -> None:
    """Move everything to its place, the manifest last."""
    for entry in sorted(made.iterdir(), key=lambda path: (path.name == MANIFEST, path.name)):
        entry.replace(out / entry.name)
