"""`vgil episodes list`: a line for each file of a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.reading.listing import Line, list_episodes

HEADINGS = ("file", "robot", "task", "T", "seconds", "success", "cameras", "size", "problems")
RIGHT = ("T", "seconds", "size")
WIDEST = 40  # letters up to which a column is as wide as its longest cell


def list_command(
    folder: Annotated[Path, typer.Argument(help="A dataset's folder.")] = Path(), json: JsonFile = None
) -> None:
    """List the episodes of a folder."""
    lines = list_episodes(folder, len(os.sched_getaffinity(0)))
    write_json(json, [line.as_dict() for line in lines])
    typer.echo("\n".join(table([HEADINGS, *map(_cells, lines)])))
    apart = len(naming.aborted_in(folder))
    if apart:
        typer.echo(f"{apart} aborted ones lie in {folder / naming.ABORTED_FOLDER}; no reader takes them")
    if waiting := Journal(folder).unfinished():
        typer.echo(f"{waiting.operation} was cut off ({waiting.words}); `vgil episodes undo` takes it back")
    total = sum(line.bytes for line in lines) / 1e6
    typer.echo(f"{len(lines)} files, {sum(line.rows or 0 for line in lines)} rows, {total:.1f} MB")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells, the first of them headings, as lines of columns; a long cell pushes those behind it."""
    shown = [[_printable(cell) for cell in row] for row in rows]
    widths = [min(WIDEST, max(map(len, column))) for column in zip(*shown, strict=True)]
    right = [heading in RIGHT for heading in rows[0]]
    return ["  ".join(map(_padded, row, widths, right)).rstrip() for row in shown]


def _padded(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def _printable(cell: str) -> str:
    return cell if cell.isprintable() else "".join(letter if letter.isprintable() else " " for letter in cell)


def _cells(line: Line) -> list[str]:
    success = {None: "", "success": "yes", "failure": "no", "unsure": "unsure"}[line.label]
    success += "".join(f" #{tag}" for tag in line.tags)
    seconds = "" if line.seconds is None else f"{line.seconds:.1f}"
    rows = "" if line.rows is None else str(line.rows)
    robot = line.robot or (f"({line.layout})" if line.layout else "")
    size = f"{line.bytes / 1e6:.1f} MB"
    cameras, problems = ", ".join(line.cameras), "; ".join(line.problems)
    return [line.file, robot, line.task or "", rows, seconds, success, cameras, size, problems]
