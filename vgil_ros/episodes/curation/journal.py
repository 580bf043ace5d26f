"""The journal of a data set's curation, in its folder `.trash`: what left, what came, and how far an operation got.

An operation is a set of files that leave their places and a set of files that come to places. New files are made
whole in the operation's own folder first; then the entry is written (from here on the operation takes place, whatever
happens to the process); then all that leaves is moved into the entry, and then all that comes is moved out of it. A
file has one name within its entry, so each move may be tried again after a crash: who opens the journal next brings the
operation to its end. Undoing is the same in the other direction. Nothing is ever written over another file.

A purge begins with a mark that makes all entries void at once, since one may lead into another: a file that came back
by `restore` goes back into the entry of its `delete`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vgil_ros.episodes import naming
from vgil_ros.episodes.curation import patches
from vgil_ros.episodes.errors import EpisodeError, WriteFailed

TRASH = ".trash"
LEFT, CAME, ENTRY, PURGING = "left", "came", "entry.json", "purging"
# The states of an entry: the direction, and which of its two halves is under way.
TAKING, PLACING, DONE = "taking", "placing", "done"
RETURNING, RESTORING, UNDONE = "returning", "restoring", "undone"


@dataclass(frozen=True)
class Move:
    """A file's place in the data set, and its name within the entry.

    Attributes:
        path: relative to the data set's folder.
        name: in the entry's `left` or `came`.
    """

    path: str
    name: str


@dataclass(frozen=True)
class Entry:
    """One operation.

    Attributes:
        number: counts from 1.
        operation: such as "trim".
        words: what was done, for people.
        created: UTC, ISO 8601.
        state: how far it is.
        leaving, coming: the files.
        edited: names in `left` of which only the difference from what came is kept.
    """

    number: int
    operation: str
    words: str
    created: str
    state: str
    leaving: tuple[Move, ...]
    coming: tuple[Move, ...]
    edited: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Its folder's name in the trash."""
        return f"{self.number:05d}_{self.operation}"


class Draft:
    """An operation that is being prepared; nothing has happened yet."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._folder = root, folder
        self.leaving: list[Move] = []
        self.coming: list[Move] = []
        self.edited: list[str] = []

    def leave(self, path: Path) -> None:
        """A file leaves its place."""
        relative = str(path.relative_to(self._root))
        if any(move.path == relative for move in self.leaving):
            raise EpisodeError(f"{path}: is named twice; allowed: once")
        self.leaving.append(Move(relative, _flat(relative)))

    def leave_with_log(self, path: Path) -> None:
        """An episode leaves its place, and its raw log with it."""
        self.leave(path)
        if (log := naming.log_of(path)).is_file():
            self.leave(log)

    def come(self, path: Path) -> Path:
        """A file comes to a place; return where it is to be made."""
        relative = str(path.relative_to(self._root))
        name = _flat(relative)
        self.coming.append(Move(relative, name))
        return self._folder / CAME / name

    def edit(self, path: Path) -> Path:
        """A file is changed a little; return a copy of it that is to be changed."""
        self.leave(path)
        self.edited.append(self.leaving[-1].name)
        copy = self.come(path)
        shutil.copyfile(path, copy)
        return copy

    def rename(self, old: Path, new: Path) -> None:
        """A file gets another place: also one out of an older entry, which is brought back."""
        self.leave(old)
        place = self.come(new)
        try:
            os.link(old, place)
        except OSError as error:
            if error.errno not in naming.NO_LINKS:
                raise
            shutil.copyfile(old, place)

    def rename_with_log(self, old: Path, new: Path) -> None:
        """As `rename`, and the episode's raw log with it."""
        self.rename(old, new)
        if (log := naming.log_of(old)).is_file():
            self.rename(log, naming.log_of(new))

    def sync(self) -> None:
        """Bring what was made to the disk."""
        for move in self.coming:
            path = self._folder / CAME / move.name
            if path.exists():
                naming.sync_file(path)


def _flat(relative: str) -> str:
    """A name within an entry; a search for `*.hdf5` through all folders must not take it for an episode."""
    return relative.replace("/", "+") + ".kept"


class Journal:
    """A data set's journal, held by one process at a time.

    Args:
        root: the data set's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.trash = root, root / TRASH

    @contextlib.contextmanager
    def held(self) -> Iterator[Journal]:
        """Hold the journal, and bring to its end what a killed process left.

        Raises:
            EpisodeError: where the folder is missing, or another process curates it.
            WriteFailed: where it cannot be written.
        """
        if not self.root.is_dir():
            raise EpisodeError(f"{self.root}: no such folder")
        try:
            self.trash.mkdir(exist_ok=True)
            handle = naming.lock(self.trash / "lock")
        except BlockingIOError as error:
            raise EpisodeError(f"{self.root}: another process curates this folder; wait until it is done") from error
        except OSError as error:
            raise WriteFailed(f"{self.trash}: cannot be written ({error.strerror})") from error
        try:
            try:
                self._recover()
            except OSError as error:
                raise WriteFailed(f"{self.root}: what was cut off could not be ended ({error}); try again") from error
            yield self
        finally:
            os.close(handle)

    def unfinished(self) -> Entry | None:
        """What a killed process has begun and not ended, where there is such an operation."""
        return next((entry for entry in self.entries() if entry.state not in (DONE, UNDONE)), None)

    def entries(self) -> list[Entry]:
        """Every operation, oldest first; none where a purge was cut off."""
        if not self.trash.is_dir() or (self.trash / PURGING).exists():
            return []
        return sorted((_read(path) for path in self.trash.glob(f"*/{ENTRY}")), key=lambda entry: entry.number)

    def place(self, entry: Entry) -> Path:
        """An entry's folder."""
        return self.trash / entry.folder

    @contextlib.contextmanager
    def operation(self, name: str, words: str) -> Iterator[Draft]:
        """Prepare an operation, and carry it out at the end of the block; an error within it leaves no trace.

        Raises:
            EpisodeError: where a place that a file is to come to is taken.
            WriteFailed: where the disk does not take it.
        """
        number = 1 + max((entry.number for entry in self.entries()), default=0)
        entry = Entry(number, name, words, _now(), TAKING, (), ())
        folder = self.place(entry)
        try:
            for inner in (LEFT, CAME):
                (folder / inner).mkdir(parents=True)
            draft = Draft(self.root, folder)
            yield draft
            draft.sync()
            self._check_places(draft)
            entry = replace(entry, leaving=tuple(draft.leaving), coming=tuple(draft.coming), edited=tuple(draft.edited))
            self._write(entry)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise WriteFailed(f"{self.root}: {name} could not be written ({error})") from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            self._finish(entry)
        except OSError as error:
            raise WriteFailed(f"{self.root}: {name} is not ended yet ({error}); the next command ends it") from error

    def undo(self) -> Entry:
        """Undo the last operation that was not undone yet.

        Raises:
            EpisodeError: where there is none, or a file of it was changed since by other means.
        """
        done = [entry for entry in self.entries() if entry.state == DONE]
        if not done:
            raise EpisodeError(f"{self.root}: nothing to undo")
        entry = done[-1]
        missing = [move.path for move in entry.coming if not (self.root / move.path).is_file()]
        if missing:
            raise EpisodeError(f"{self.root}: {entry.operation} cannot be undone, {missing} are no longer there")
        kept = [self.place(entry) / LEFT / move.name for move in entry.leaving]
        if lost := [path.name for path in kept if not path.is_file() and not patches.patch_of(path).is_file()]:
            raise EpisodeError(f"{self.root}: {entry.operation} cannot be undone, {lost} are no longer there")
        where = {move.name: move.path for move in entry.coming}
        for name in entry.edited:
            patches.restore(self.root / where[name], self.place(entry) / LEFT / name)
        return self._finish(self._advance(entry, RETURNING))

    def purge(self) -> int:
        """Delete for good what left the data set; nothing can be undone after it. Returns the bytes that are free.

        Raises:
            WriteFailed: where it cannot be deleted.
        """
        try:
            found = (path.stat() for path in self.trash.rglob("*") if path.is_file())
            freed = sum(stat.st_size for stat in found if stat.st_nlink == 1)
            (self.trash / PURGING).touch()
            naming.sync_folder(self.trash)  # from here on it takes place
            self._end_purge()
        except OSError as error:
            raise WriteFailed(f"{self.trash}: not emptied yet ({error}); the next command goes on with it") from error
        return freed

    # ---- carrying out

    def _end_purge(self) -> None:
        for folder in filter(Path.is_dir, self.trash.iterdir()):
            shutil.rmtree(folder)
        naming.sync_folder(self.trash)
        (self.trash / PURGING).unlink()

    def _recover(self) -> None:
        if (self.trash / PURGING).exists():
            self._end_purge()
        for entry in self.entries():
            if entry.state not in (DONE, UNDONE):
                self._finish(entry)
        for folder in self.trash.iterdir():
            if folder.is_dir() and not (folder / ENTRY).is_file():
                shutil.rmtree(folder)  # it was never begun

    def _finish(self, entry: Entry) -> Entry:
        folder, root = self.place(entry), self.root
        left, came = entry.leaving, entry.coming
        if entry.state == TAKING:
            _take(root, left, folder / LEFT, came)
            entry = self._advance(entry, PLACING)
        if entry.state == PLACING:
            entry = self._give(entry, "coming", folder / CAME, folder / LEFT)
            where = {move.name: move.path for move in entry.coming}
            for name in entry.edited:
                with contextlib.suppress(OSError):  # no room: then the whole old file stays
                    patches.keep_difference(folder / LEFT / name, root / where[name])
            return self._advance(entry, DONE)
        if entry.state == RETURNING:
            _take(root, came, folder / CAME, left)
            entry = self._advance(entry, RESTORING)
        if entry.state == RESTORING:
            entry = self._give(entry, "leaving", folder / LEFT, folder / CAME)
            return self._advance(entry, UNDONE)
        raise EpisodeError(f"{folder / ENTRY}: state is '{entry.state}'; the journal is damaged")

    def _give(self, entry: Entry, key: str, out_of: Path, left: Path) -> Entry:
        """Move files out of an entry, over what has just left and over nothing else.

        A recorder may have taken a number: the next free one is written down before the file goes there.
        """
        for i in range(len(getattr(entry, key))):
            while (source := out_of / getattr(entry, key)[i].name).is_file():  # else a crash came after it was moved
                move: Move = getattr(entry, key)[i]
                place = self.root / move.path
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.exists() and os.path.samefile(source, place):
                    source.unlink()  # a crash came between its new name and the end of its old one
                elif place.exists() and _same(left / move.name, place):
                    os.replace(source, place)
                else:
                    entry = self._publish(entry, key, i, source)
        naming.sync_folder(self.root)
        return entry

    def _publish(self, entry: Entry, key: str, i: int, source: Path) -> Entry:
        moves: list[Move] = list(getattr(entry, key))
        place = self.root / moves[i].path
        try:
            naming.publish(source, place)
        except FileExistsError:
            place = naming.next_free(place)
            moves[i] = replace(moves[i], path=str(place.relative_to(self.root)))
            beside = str(naming.log_of(Path(moves[i].name)))
            log = str(naming.log_of(place).relative_to(self.root))  # goes where its episode goes
            moves = [replace(move, path=log) if move.name == beside else move for move in moves]
            entry = replace(entry, leaving=tuple(moves)) if key == "leaving" else replace(entry, coming=tuple(moves))
            self._write(entry)
        return entry

    def _check_places(self, draft: Draft) -> None:
        leaving = {move.path for move in draft.leaving}
        for path in sorted(leaving):
            if not (self.root / path).is_file():
                raise EpisodeError(f"{self.root / path}: no such file")
        for move in draft.coming:
            if move.path not in leaving and (self.root / move.path).exists():
                raise EpisodeError(f"{self.root / move.path}: is there already")

    def _advance(self, entry: Entry, state: str) -> Entry:
        entry = replace(entry, state=state)
        self._write(entry)
        return entry

    def _write(self, entry: Entry) -> None:
        place = self.place(entry) / ENTRY
        half = place.with_suffix(".half")
        with half.open("w", encoding="utf-8") as file:
            json.dump(asdict(entry), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, place)
        naming.sync_folder(place.parent)


def _take(root: Path, leaving: Sequence[Move], into: Path, coming: Sequence[Move]) -> None:
    """Move files into an entry. One whose place another will have stays there too until then: it is never missing."""
    replaced = {move.path for move in coming}
    for move in leaving:
        source, place = root / move.path, into / move.name
        if place.exists() or not source.is_file():
            continue  # a crash came after it was moved
        try:
            if move.path in replaced:
                os.link(source, place)
                continue
        except OSError as error:
            if error.errno not in naming.NO_LINKS:
                raise
        os.rename(source, place)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and os.path.samefile(one, other)


def _read(path: Path) -> Entry:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        moves = {key: tuple(Move(**move) for move in values.pop(key)) for key in ("leaving", "coming")}
        return Entry(**{**values, **moves, "edited": tuple(values.get("edited", ()))})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EpisodeError(f"{path}: is no entry of a journal ({error})") from error


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
