"""`vgil episodes convert`: an episode, or a folder of them, in another layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from vgil_ros.cli.episodes.options import LayoutName, bar_of_rows, files_of, known_layout
from vgil_ros.cli.options import RayAddress, Workers
from vgil_ros.episodes import naming
from vgil_ros.episodes.convert import TARGETS, convert, left_out
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.parallel import InProcess, Outcome, Work, WorkerKilled, executor

BAD = 1


@dataclass(frozen=True)
class ConvertWork(Work[Path, "list[str]"]):
    """Converts an episode into a folder, under its own name; gives what is to be said of it."""

    out: Path
    to: Any
    rate: float | None
    layout: Any
    bars: bool

    @contextmanager
    def open(self) -> Iterator[Callable[[Path], list[str]]]:
        """See `Work.open`."""
        yield lambda source: self.convert(source, self.out / source.name)

    def convert(self, source: Path, out: Path) -> list[str]:
        """Convert one file into another."""
        progress = bar_of_rows(source.name) if self.bars else iter
        with naming_file(source, "converted"), EpisodeReader(source, layout=self.layout) as episode:
            lines = [str(convert(episode, out, self.to, rate_hz=self.rate, progress=progress))]
            if missing := left_out(episode, self.to):
                lines.append(f"  the layout '{self.to}' has no place for: {', '.join(missing)}")
        return lines


def convert_command(
    source: Annotated[Path, typer.Argument(help="An episode file, or a folder of them.")],
    out: Annotated[Path, typer.Argument(help="The new file; it must not exist. Of a folder: the new files' folder.")],
    to: Annotated[str, typer.Option("--to", help=f"One of: {', '.join(TARGETS)}.")] = "vgil",
    rate: Annotated[float | None, typer.Option(help="Hz, where the file does not store it.")] = None,
    layout: LayoutName = None,
    workers: Workers = None,
    ray: RayAddress = None,
) -> None:
    """Write an episode, or a folder of them, in another layout; exit code 1 where one of a folder cannot be."""
    chosen = known_layout(layout)
    if to not in TARGETS:
        raise EpisodeError(f"--to is '{to}'; allowed: {list(TARGETS)}")
    if not source.is_dir():
        typer.echo("\n".join(ConvertWork(out.parent, to, rate, chosen, bars=True).convert(source, out)))
        return
    files, failed = files_of([source]), 0
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EpisodeError(f"{out}: cannot be made a folder ({error.strerror})") from error
    if ray is not None:  # another machine's processes begin in another folder
        files, out = [path.absolute() for path in files], out.absolute()
    with executor(workers, ray) as pool:
        work = ConvertWork(out, to, rate, chosen, bars=isinstance(pool, InProcess))
        with closing(pool.map(work, files)) as outcomes:
            for outcome in tqdm(outcomes, "convert", len(files), unit="episode", delay=2, leave=False):
                failed += not _told(outcome, out)
    typer.echo(f"{len(files) - failed} of {len(files)} converted")
    raise typer.Exit(BAD if failed else 0)


def _told(outcome: Outcome[Path, list[str]], out: Path) -> bool:
    """Say what came of an episode; returns whether it was converted."""
    if outcome.error is None:
        typer.echo("\n".join(outcome.result()))
        return True
    typer.echo(f"error: {outcome.error}", err=True)
    if isinstance(outcome.error, WorkerKilled):
        (out / f"{outcome.item.name}{naming.PART}").unlink(missing_ok=True)
    return False
