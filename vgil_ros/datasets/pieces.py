"""Pieces: the finished episodes of a conversion, each in a folder of its own, before they become one data set.

A piece is whole or not there: it is made under another name and renamed at its end. So a conversion that was killed
goes on with the episodes that lack theirs, and the data set is made from the pieces alone.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vgil_ros.core.files import write_whole
from vgil_ros.episodes import naming
from vgil_ros.episodes.naming import sync_folder
from vgil_ros.episodes.view import Episode

FACTS = "piece.json"
STATS = "stats"
PART = ".part"


@dataclass(frozen=True)
class Piece:
    """A finished episode.

    Attributes:
        folder: where its files are.
        facts: what is said of it: name, rows, tasks (`stored.Runs`), streams, and what its sink adds.
    """

    folder: Path
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The episode's name in the source."""
        return str(self.facts["name"])

    @property
    def rows(self) -> int:
        """T."""
        return int(self.facts["rows"])

    def without_stats(self) -> Piece:
        """The same without its statistics, which are large: of many pieces they are read again one by one."""
        return Piece(self.folder, {key: value for key, value in self.facts.items() if key != STATS})

    def stats(self) -> Mapping[str, Any]:
        """Its statistics, of its file."""
        values: Mapping[str, Any] = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))[STATS]
        return values


class Sink(Protocol):
    """A layout that is written: episodes to pieces, by several processes, then pieces to a data set, by one."""

    def make(self, episode: Episode, folder: Path) -> dict[str, Any]:
        """Write an episode's files into a folder; gives what `assemble` has to know of it, for JSON."""

    def open_piece(self, folder: Path, facts: Mapping[str, Any]) -> Episode:
        """Open what `make` wrote, by the reader of this layout."""

    def assemble(self, pieces: Sequence[Piece], out: Path) -> list[str]:
        """Make the data set in an empty folder; gives the episodes' names in it. Pieces stay as they are."""


def read_piece(folder: Path) -> Piece | None:
    """A finished piece, or None."""
    try:
        return Piece(folder, json.loads((folder / FACTS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def publish_piece(part: Path, facts: Mapping[str, Any], folder: Path) -> None:
    """Finish a piece: its facts, then its name."""
    write_json(part / FACTS, facts)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    sync_folder(folder.parent)


def write_json(path: Path, values: Any) -> None:
    """Write a file that is whole or not there, always the same for the same values."""
    write_whole(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def names_in_set(pieces: Sequence[Piece]) -> list[str]:
    """The pieces' own names, or by number where one of them is no name for one of our episodes."""
    names = [piece.name for piece in pieces]
    if len(set(names)) == len(names) and all(naming.EPISODE.match(f"{name}.hdf5") for name in names):
        return names
    return [f"episode_{number}" for number in range(len(pieces))]


def place(source: Path, target: Path) -> None:
    """Give a file of a piece its place in the data set: a second name, or a copy where the disk has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
