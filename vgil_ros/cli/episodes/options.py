"""Arguments that commands over episodes share, and the files that they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.layouts import LAYOUTS

LayoutName = Annotated[
    str | None,
    typer.Option("--layout", help=f"Read the file as: {', '.join(LAYOUTS)}. Found out by itself where left out."),
]
Paths = Annotated[list[Path], typer.Argument(help="Episode files, or folders of them.")]


def bar_of_rows(text: str) -> Callable[[Iterable[int]], Iterable[int]]:
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


def known_layout(name: str | None) -> Any:
    """A layout that is known, or None for one that is to be found out.

    Raises:
        EpisodeError: with those that are allowed.
    """
    if name is not None and name not in LAYOUTS:
        raise EpisodeError(f"--layout is '{name}'; allowed: {list(LAYOUTS)}")
    return name
