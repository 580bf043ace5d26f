"""`vgil episodes`: list, show, check, repair, plot, convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.cli.episodes.check import check
from vgil_ros.cli.episodes.convert import convert_command
from vgil_ros.cli.episodes.listing import list_command
from vgil_ros.cli.episodes.options import LayoutName, Paths, bar_of_rows, files_of, known_layout
from vgil_ros.cli.episodes.show import show
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.raw_log.recovery import finish_log
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.recovery.repair import remove_if_empty, repair

app = typer.Typer(no_args_is_help=True, help="Episodes on disk: list, show, check, repair, plot, convert.")
BAD = 1


app.command("list")(list_command)
app.command()(show)
app.command()(check)


@app.command("repair")
def repair_command(paths: Paths, json: JsonFile = None) -> None:
    """Recover what a killed recorder or a cut copy left; a folder means all `.part` files in it.

    Exit code 1 where rows that a file speaks of could not be recovered, or none at all. A `.part` that no row had
    reached is removed; one of which something is lost is kept as `.part.kept`. A raw log gets its end with its episode.
    """
    done, failed = [], 0
    parts = [part for path in paths for part in _parts(path)]
    for part in parts:
        if part.name.endswith(naming.LOG + naming.PART):
            failed += not _finish_log(part, naming.final_of(part))
            continue
        try:
            if part.name.endswith(naming.PART) and remove_if_empty(part):
                naming.log_of(part).unlink(missing_ok=True)
                typer.echo(f"{part}: no row had reached it; removed")
                continue
            result = repair(part, progress=bar_of_rows(part.name))
        except VgilError as error:
            failed += 1
            typer.echo(f"error: {error}", err=True)
            continue
        lost = f"; lost: {', '.join(result.lost)}" if result.lost else ""
        kept = "removed" if result.kept is None else "kept" if result.kept == part else f"kept as {result.kept.name}"
        typer.echo(f"{part}: {result.rows} of {result.expected} rows -> {result.path}{lost}; {part.name} {kept}")
        failed += bool(result.lost) or result.rows < result.expected
        paths_of = {key: str(path) for key in ("source", "path", "kept") if (path := getattr(result, key)) is not None}
        done.append({**vars(result), **paths_of, "lost": list(result.lost), "removed": result.removed})
        if part.name.endswith(naming.PART) and (log := naming.log_of(part)).is_file():
            failed += not _finish_log(log, naming.log_of(result.path))
    write_json(json, done)
    if not parts:
        typer.echo("nothing to repair")
    raise typer.Exit(BAD if failed else 0)


def _finish_log(log: Path, final: Path) -> bool:
    """Give the raw log of a killed recorder its end and its name; say so or why not, and return whether it has them."""
    try:
        typer.echo(f"{log}: {finish_log(log, final)} messages -> {final}")
    except VgilError as error:
        typer.echo(f"error: {error}", err=True)
        return False
    return True


def _parts(path: Path) -> list[Path]:
    if path.is_dir():
        return [*naming.parts_in(path), *naming.logs_left_in(path)]
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
    with naming_file(file, "plotted"), EpisodeReader(file, layout=known_layout(layout)) as episode:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            typer.echo(plot_episode(episode, folder / f"{file.stem}.png"))
            if video and episode.camera_names:
                typer.echo(write_video(episode, folder / f"{file.stem}.mp4", progress=bar_of_rows("video")))
        except OSError as error:
            raise EpisodeError(f"{folder}: cannot be written ({error})") from error


app.command("convert")(convert_command)
