"""A whole data set into another layout, by several processes; a run that was killed goes on where it was.

Beside the result lies `.making` until it is whole: the plan, a piece for each finished episode, and `out`, the data set
while it is put together. What is published at the end are renames, the manifest last.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vgil_ros
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.manifest import FORMAT, MANIFEST, read_manifest
from vgil_ros.datasets.pieces import Piece, read_piece, write_json
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.schema import Shape
from vgil_ros.datasets.source import Source, open_source
from vgil_ros.datasets.workers import GOES_ON, Progress, SurveyWork, make_pieces, opened, piece_folder
from vgil_ros.episodes import naming
from vgil_ros.parallel import Executor, InProcess, WorkerKilled, executor

MAKING, PLAN, PIECES, OUT, ASSEMBLED, LOCK = ".making", "plan.json", "pieces", "out", "assembled", "lock"
TOLD = ("streams", "timing", "facts", "not_kept")  # of a piece, for the manifest; an older version's lack the last two
SHOWN = 5  # names that an error lists
MANY = 64  # episodes from which to look at them is shared among processes
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
    plan: Plan,
    out: Path,
    *,
    workers: int | None = 1,
    ray: str | None = None,
    progress: Progress = _plain,
    say: Say = lambda _: None,
) -> Result:
    """Convert, or go on with a conversion that was cut off.

    Args:
        out: the new folder; it must not exist, be empty, or be one that the same conversion left behind.
        workers: processes, each with one episode at a time; None: one, or as many as the cluster has CPUs.
        ray: the address of a Ray cluster, whose machines have source and target under the same paths.

    Raises:
        DatasetError: a plan that cannot be, episodes named that the source has not, a folder that holds something else
            or that another process converts into, a full disk, or no episode that can be converted.
    """
    if ray is not None:  # another machine's processes begin in another folder
        plan, out = plan.model_copy(update={"source": plan.source.absolute()}), out.absolute()
    plan = plan.checked()
    opened.cache_clear()  # what it was in an earlier call, of a notebook
    source = open_source(plan.source, plan.layout)
    _check_only(plan, source.names())
    making = out / MAKING
    if (out / MANIFEST).is_file():
        return _finish_published(out, making)
    _claim(out, making)
    with _alone_in(making):
        try:
            with executor(workers, ray) as pool:
                return _convert(source, plan, out, pool, progress, say)
        except OSError as error:
            raise DatasetError(f"{out}: {error}; {GOES_ON}") from error


def _convert(source: Source, plan: Plan, out: Path, pool: Executor, progress: Progress, say: Say) -> Result:
    making = out / MAKING
    usable, left_out, shape = survey(source, plan, pool, progress)
    plan = plan.model_copy(update={"shape": shape})
    _same_plan(making / PLAN, plan)
    made = make_pieces(source, plan, making / PIECES, usable, left_out, pool, progress)
    found = (read_piece(piece_folder(making / PIECES, number)) for number in usable)
    pieces = [piece.without_stats() for piece in found if piece is not None]
    if not pieces:
        first = next(iter(left_out.items()), ("", "no episode"))
        raise DatasetError(
            f"{plan.source}: none of {len(source.names())} episodes can be converted; the first: {first[1]}"
        )
    _assemble(plan, pieces, making, left_out, say)
    _publish(making / OUT, out)
    shutil.rmtree(making)
    return Result(out, len(pieces), made, left_out)


def _check_only(plan: Plan, names: Sequence[str]) -> None:
    """Refuse a plan that names episodes which there are not.

    Raises:
        DatasetError: naming them, and the first of those that are there.
    """
    there = set(names)
    if missing := [name for name in dict.fromkeys(plan.only or ()) if name not in there]:
        raise DatasetError(
            f"{plan.source}: `only` names {_few(missing)}, which no episode has; allowed: names of its"
            f" {len(names)} episodes, {_few(names)}"
        )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
    return f"{list(names[:SHOWN])}{more}"


def _claim(out: Path, making: Path) -> None:
    try:
        if out.is_dir() and not making.is_dir() and any(out.iterdir()):
            raise DatasetError(f"{out}: is there already, and no conversion that was cut off; nothing is overwritten")
        (making / PIECES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{out}: cannot be made a folder ({error.strerror})") from error


@contextmanager
def _alone_in(making: Path) -> Iterator[None]:
    """Keep other conversions out of a folder; a process that is killed lets go of it.

    Raises:
        DatasetError: another process converts into it.
    """
    try:
        handle = naming.lock(making / LOCK)
    except BlockingIOError as error:
        raise DatasetError(
            f"{making.parent}: another process converts into this folder; allowed: one at a time, let it end"
        ) from error
    except OSError as error:
        raise DatasetError(f"{making}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        os.close(handle)


def _finish_published(out: Path, making: Path) -> Result:
    """A run that was killed after its last rename is done but for the tidying up."""
    if not making.is_dir():
        raise DatasetError(
            f"{out}: holds a whole data set already, with its {MANIFEST}; nothing is overwritten; allowed: a new folder"
        )
    manifest = read_manifest(out)
    with _alone_in(making):
        shutil.rmtree(making)
    return Result(out, len(manifest["episodes"]), 0, dict(manifest["left_out"]))


def _same_plan(path: Path, plan: Plan) -> None:
    """Keep the plan; a run that goes on must have the one it began with.

    Raises:
        DatasetError: naming what differs, or another version wrote the plan.
    """
    values = plan.model_dump(mode="json")
    if not path.is_file():
        write_json(path, values)
        return
    before = _plan_before(path).model_dump(mode="json")
    differing = [
        f"{key}: {_short(before[key])}, now {_short(values[key])}" for key in values if before[key] != values[key]
    ]
    if differing:
        raise DatasetError(
            f"{path.parent}: a conversion was cut off that had {'; '.join(differing)}; go on with it as it was, or "
            "remove the folder"
        )


def _plan_before(path: Path) -> Plan:
    try:
        return Plan.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(
            f"{path}: is no plan of this version; allowed: go on with the version that began, or remove {path.parent}"
        ) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def survey(
    source: Source, plan: Plan, pool: Executor, progress: Progress
) -> tuple[list[int], dict[str, str], Shape | None]:
    """Look at every episode: (places of those that can be converted, why not by name, the shape of all)."""
    usable: list[int] = []
    left_out: dict[str, str] = {}
    whole: Shape | None = None
    names = source.names()
    only = None if plan.only is None else set(plan.only)
    wanted = [number for number, name in enumerate(names) if only is None or name in only]
    pool = pool if len(wanted) >= MANY else InProcess()
    with closing(pool.map(SurveyWork(plan, tuple(names)), wanted)) as outcomes:
        for outcome in progress(outcomes, "survey", len(wanted)):
            number, name = outcome.item, names[outcome.item]
            shape = str(outcome.error) if isinstance(outcome.error, WorkerKilled) else outcome.result()
            if isinstance(shape, str):
                left_out[name] = shape
                continue
            if plan.one_shape and whole is not None and (words := whole.differs(shape)):
                left_out[name] = f"{source.path / name}: {words}; allowed: the same in all episodes of a data set"
                continue
            whole = shape if whole is None else whole.with_another(shape)
            usable.append(number)
    return usable, left_out, whole if plan.one_shape else None


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
            **{key: piece.facts[key] for key in TOLD if key in piece.facts},
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
        "least_db": plan.least_db,
        "episodes": episodes,
        "left_out": left_out,
    }
    write_json(out / MANIFEST, manifest)
    (making / ASSEMBLED).touch()


def _publish(made: Path, out: Path) -> None:
    """Move everything to its place, the manifest last."""
    for entry in sorted(made.iterdir(), key=lambda path: (path.name == MANIFEST, path.name)):
        entry.replace(out / entry.name)
