"""The dataset folder that a page shows: its folders of episodes, and the files that a browser may name in them.

What comes from a browser is a path relative to that folder. It never leads out of it: not by `..`, not as an absolute
path, not through a symbolic link; hidden files, parts being recorded and other kinds of files are not named either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming

DEEPEST, MOST = 3, 500  # folders below the dataset folder that are looked into
KINDS = (".hdf5", naming.ABORTED)
ALLOWED = "an episode_N.hdf5 of the dataset folder or of a folder below it"


class Refused(VgilError):
    """A path that leads out of the dataset folder, or is none."""


class Unknown(VgilError):
    """A path within the dataset folder at which there is no episode, or no folder."""


class DataFolders:
    """The folders of episodes in one dataset folder.

    Args:
        root: the dataset folder; it may not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def names(self) -> list[str]:
        """Folders with episodes, relative to the dataset folder: "" is that folder itself. Reads the disk."""
        if not self.root.is_dir():
            return [""]
        found = sorted(self._walk(self.root, 0))
        return found or [""]

    def _walk(self, folder: Path, depth: int) -> Iterator[str]:
        below: list[Path] = []
        episodes = False
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        episodes = episodes or entry.name == naming.ABORTED_FOLDER
                        below.append(Path(entry.path))
                    else:
                        episodes = episodes or entry.name.endswith((".hdf5", f".hdf5{naming.PART}"))
        except OSError:  # gone meanwhile, or not ours to read
            return
        if episodes:
            yield "" if folder == self.root else folder.relative_to(self.root).as_posix()
        for path in sorted(below)[:MOST] if depth < DEEPEST else ():
            if path.name != naming.ABORTED_FOLDER and path.resolve().is_relative_to(self.root):
                yield from self._walk(path, depth + 1)

    def folder(self, name: str) -> Path:
        """The path of a folder that a browser names.

        Raises:
            Refused: it leads out of the dataset folder.
            Unknown: there is none.
        """
        path = self._within(name) if name else self.root
        if not path.is_dir():
            raise Unknown(f"no folder '{name}' in {self.root}; allowed: {', '.join(self.names()[:20]) or 'none yet'}")
        return path

    def file(self, place: str) -> Path:
        """The path of an episode that a browser names.

        Raises:
            Refused: it leads out of the dataset folder, or is no episode's name.
            Unknown: there is none.
        """
        path = self._within(place)
        if not path.name.endswith(KINDS):
            raise Refused(f"found '{place}'; allowed: {ALLOWED}")
        if not path.is_file():
            raise Unknown(f"no episode '{place}' in {self.root}; allowed: {ALLOWED}")
        return path

    def place(self, path: Path) -> str:
        """What a browser calls a file."""
        return path.relative_to(self.root).as_posix()

    def name_of(self, folder: Path) -> str:
        """What a browser calls a folder: "" is the dataset folder itself."""
        return "" if folder == self.root else self.place(folder)

    def beside(self, folder: Path, name: str) -> Path:
        """Where a new data set is made: beside a folder, or within it where it is the dataset folder itself.

        Raises:
            Refused: for a name that is none, or leads elsewhere.
        """
        parts = PurePosixPath(name).parts
        if len(parts) != 1 or name != parts[0] or len(name) > 100:
            raise Refused(f"found '{name[:120]}' as a new folder's name; allowed: one name of up to 100 letters")
        parent = folder.parent if folder != self.root else folder
        return self._within((parent / name).relative_to(self.root).as_posix())

    def _within(self, text: str) -> Path:
        parts = PurePosixPath(text).parts
        odd = not text.isprintable() or "\\" in text or text.startswith("/") or not parts
        if odd or any(part.startswith(".") for part in parts):
            raise Refused(f"found {text[:200]!r}; allowed: {ALLOWED}")
        path = self.root / text
        if not path.resolve().is_relative_to(self.root):
            raise Refused(f"found {text[:200]!r}, which leads out of {self.root}; allowed: {ALLOWED}")
        return path


def dataset_of(path: Path) -> Path:
    """The data set's folder of an episode: the one that its journal lies in."""
    return path.parent.parent if path.parent.name == naming.ABORTED_FOLDER else path.parent
