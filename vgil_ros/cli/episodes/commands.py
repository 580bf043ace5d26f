"""`vgil episodes`: list, show, check, repair, plot, convert."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.checks.findings import Report
from vgil_ros.episodes.checks.motion.outliers import compare
from vgil_ros.episodes.checks.same_setup import check_folder
from vgil_ros.episodes.convert import TARGETS, convert, left_out
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.layouts import LAYOUTS
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.recovery.repair import remove_if_empty, repair
from vgil_ros.episodes.summary import Line, describe, list_episodes

app = typer.Typer(no_args_is_help=True, help="Episodes on disk: list, show, check, repair, plot, convert.")
BAD = 1

LayoutName = Annotated[
    str | None,
    typer.Option("--layout", help=f"Read the file as: {', '.join(LAYOUTS)}. Found out by itself where left out."),
]
Paths = Annotated[list[Path], typer.Argument(help="Episode files, or folders of them.")]


def _bar(text: str) -> Callable[[Iterable[int]], Iterable[int]]:
    """A progress bar that shows once something takes longer than two seconds."""
    return lambda rows: tqdm(rows, desc=text, unit="row", delay=2, leave=False)


def files_of(paths: list[Path]) -> list[Path]:
    """Return the episodes that are meant; a folder means those in it."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = naming.episodes_in(path)
            if not inside:
                apart = len(naming.aborted_in(path))
                hint = f"; {apart} aborted ones in {naming.ABORTED_FOLDER}" if apart else ""
                raise EpisodeError(f"{path}: no episode in this folder{hint}")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise EpisodeError(f"{path}: no such file or folder")
    return list(dict.fromkeys(files))


def _layout(name: str | None) -> Any:
    if name is not None and name not in LAYOUTS:
        raise EpisodeError(f"--layout is '{name}'; allowed: {list(LAYOUTS)}")
    return name


@app.command("list")
def list_command(
    folder: Annotated[Path, typer.Argument(help="A dataset's folder.")] = Path(), json: JsonFile = None
) -> None:
    """List the episodes of a folder."""
    lines = list_episodes(folder, len(os.sched_getaffinity(0)))
    write_json(json, [line.as_dict() for line in lines])
    table = Table()
    for heading in ("file", "robot", "task", "T", "seconds", "success", "cameras", "size", "problems"):
        table.add_column(heading, no_wrap=heading in ("file", "T", "seconds", "size"), overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in _cells(line)))  # a file's words are no markup
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    apart = len(naming.aborted_in(folder))
    if apart:
        typer.echo(f"{apart} aborted ones lie in {folder / naming.ABORTED_FOLDER}; no reader takes them")
    if waiting := Journal(folder).unfinished():
        typer.echo(f"{waiting.operation} was cut off ({waiting.words}); `vgil episodes undo` takes it back")
    total = sum(line.bytes for line in lines) / 1e6
    typer.echo(f"{len(lines)} files, {sum(line.rows or 0 for line in lines)} rows, {total:.1f} MB")


def _cells(line: Line) -> list[str]:
    success = {None: "", "success": "yes", "failure": "no", "unsure": "unsure"}[line.label]
    success += "".join(f" #{tag}" for tag in line.tags)
    seconds = "" if line.seconds is None else f"{line.seconds:.1f}"
    rows = "" if line.rows is None else str(line.rows)
    robot = line.robot or (f"({line.layout})" if line.layout else "")
    size = f"{line.bytes / 1e6:.1f} MB"
    cameras, problems = ", ".join(line.cameras), "; ".join(line.problems)
    return [line.file, robot, line.task or "", rows, seconds, success, cameras, size, problems]


@app.command()
def show(file: Path, layout: LayoutName = None, json: JsonFile = None) -> None:
    """Show what an episode says of itself: attributes, cameras, datasets, ranges of joints."""
    with naming_file(file), EpisodeReader(file, layout=_layout(layout)) as episode:
        description = describe(episode)
    write_json(json, description)
    for key, value in description.items():
        if isinstance(value, dict):
            typer.echo(f"{key}:")
            for name, inner in value.items():
                typer.echo(f"  {name}: {_short(inner)}")
        else:
            typer.echo(f"{key}: {_short(value)}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_short(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key} {_short(item)}" for key, item in value.items() if item is not None)
    return "unknown" if value is None else "".join(letter if letter.isprintable() else " " for letter in str(value))


@app.command()
def check(paths: Paths, layout: LayoutName = None, json: JsonFile = None, quiet: bool = False) -> None:
    """Check episodes, and those of a folder against each other; exit code 1 where any has an error.

    Aborted episodes, which lie apart in a folder's `aborted`, are checked where they are given by name.
    """
    chosen, files = _layout(layout), files_of(paths)
    reports = compare([check_episode(path, layout=chosen, progress=_bar(path.name)) for path in files])
    by_path = {report.path: report for report in reports}
    folders = [
        check_folder(path, [by_path[file] for file in naming.episodes_in(path) if file in by_path])
        for path in paths
        if path.is_dir()
    ]
    folders = [report for report in folders if report.findings]
    write_json(json, [report.as_dict() for report in (*reports, *folders)])
    for report in (*reports, *folders):
        _print(report, quiet)
    bad = sum(not report.ok for report in reports)
    apart = sum(len(naming.aborted_in(path)) for path in paths if path.is_dir())
    typer.echo(f"{len(reports)} checked, {bad} bad" + (f"; {apart} aborted ones lie apart" if apart else ""))
    raise typer.Exit(BAD if bad or not all(report.ok for report in folders) else 0)


def _print(report: Report, quiet: bool) -> None:
    word = "BAD" if not report.ok else f"ok, {len(report.warnings)} warnings" if report.warnings else "ok"
    typer.echo(f"{report.path}: {word}")
    for finding in report.findings:
        if not quiet or finding.severity != "info":
            typer.echo(f"  {finding}")


@app.command("repair")
def repair_command(paths: Paths, json: JsonFile = None) -> None:
    """Recover what a killed recorder or a cut copy left; a folder means all `.part` files in it.

    Exit code 1 where rows that a file speaks of could not be recovered, or none at all. A `.part` that no row had
    reached is removed.
    """
    done, failed = [], 0
    parts = [part for path in paths for part in _parts(path)]
    for part in parts:
        try:
            if part.name.endswith(naming.PART) and remove_if_empty(part):
                typer.echo(f"{part}: no row had reached it; removed")
                continue
            result = repair(part, progress=_bar(part.name))
        except VgilError as error:
            failed += 1
            typer.echo(f"error: {error}", err=True)
            continue
        lost = f"; lost: {', '.join(result.lost)}" if result.lost else ""
        kept = "removed" if result.removed else "kept"
        typer.echo(f"{part}: {result.rows} of {result.expected} rows -> {result.path}{lost}; {part.name} {kept}")
        failed += bool(result.lost) or result.rows < result.expected
        done.append({**vars(result), "source": str(part), "path": str(result.path), "lost": list(result.lost)})
    write_json(json, done)
    if not parts:
        typer.echo("nothing to repair")
    raise typer.Exit(BAD if failed else 0)


def _parts(path: Path) -> list[Path]:
    if path.is_dir():
        return naming.parts_in(path)
    return files_of([path])


@app.command()
def plot(
    file: Path,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the files; the episode's own.")] = None,
    video: Annotated[bool, typer.Option(help="Also make the MP4 of the cameras.")] = True,
    layout: LayoutName = None,
) -> None:
    """Draw an episode: a PNG of images, joints and skew, and an MP4 of the cameras side by side."""
    from vgil_ros.episodes.plot import plot_episode
    from vgil_ros.episodes.video import write_video

    folder = out or file.parent
    with naming_file(file, "plotted"), EpisodeReader(file, layout=_layout(layout)) as episode:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            typer.echo(plot_episode(episode, folder / f"{file.stem}.png"))
            if video and episode.camera_names:
                typer.echo(write_video(episode, folder / f"{file.stem}.mp4", progress=_bar("video")))
        except OSError as error:
            raise EpisodeError(f"{folder}: cannot be written ({error})") from error


@app.command("convert")
def convert_command(
    source: Annotated[Path, typer.Argument(help="An episode file, or a folder of them.")],
    out: Annotated[Path, typer.Argument(help="The new file; it must not exist. Of a folder: the new files' folder.")],
    to: Annotated[str, typer.Option("--to", help=f"One of: {', '.join(TARGETS)}.")] = "vgil",
    rate: Annotated[float | None, typer.Option(help="Hz, where the file does not store it.")] = None,
    layout: LayoutName = None,
) -> None:
    """Write an episode, or a folder of them, in another layout; exit code 1 where one of a folder cannot be."""
    chosen = _layout(layout)
    if to not in TARGETS:
        raise EpisodeError(f"--to is '{to}'; allowed: {list(TARGETS)}")
    if not source.is_dir():
        _convert(source, out, to, rate, chosen)
        return
    files, failed = files_of([source]), 0
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EpisodeError(f"{out}: cannot be made a folder ({error.strerror})") from error
    for path in tqdm(files, desc="convert", unit="episode", delay=2, leave=False):
        try:
            _convert(path, out / path.name, to, rate, chosen)
        except VgilError as error:
            failed += 1
            typer.echo(f"error: {error}", err=True)
    typer.echo(f"{len(files) - failed} of {len(files)} converted")
    raise typer.Exit(BAD if failed else 0)


def _convert(source: Path, out: Path, to: Any, rate: float | None, layout: Any) -> None:
    with naming_file(source, "converted"), EpisodeReader(source, layout=layout) as episode:
        typer.echo(convert(episode, out, to, rate_hz=rate, progress=_bar(source.name)))
        if missing := left_out(episode, to):
            typer.echo(f"  the layout '{to}' has no place for: {', '.join(missing)}")
