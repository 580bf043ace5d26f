"""The operations of curation: label, delete, restore, trim, split, renumber. Each is one entry of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.journal import DONE, LEFT, Journal
from vgil_ros.episodes.curation.labels import Label, write_label
from vgil_ros.episodes.curation.rows import check_range, rows_in, write_run
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.reader import EpisodeReader

Progress = Callable[[Iterable[Path]], Iterable[Path]]


def label(journal: Journal, files: Sequence[Path], what: Label, *, progress: Progress = iter) -> str:
    """Label episodes.

    Args:
        journal: of their folder, held.
        files: episodes.
        what: the label.
        progress: wraps the files, such as `tqdm`.

    Raises:
        EpisodeError: where a file is no episode, or its rows name several tasks and one is to be said.
        VgilError: where nothing is said.
    """
    if not what:
        raise EpisodeError("nothing to label with; allowed: success, failure or unsure, a tag, a note ...")
    words = f"{_named(files)}: {what}"
    with journal.operation("label", words) as draft:
        for path in progress(files):
            rows_in(path)
            if "task" in what.words:
                _need_one_task(path)
            with naming_file(path, "labelled"):
                write_label(draft.edit(path), what)
    return words


def _need_one_task(path: Path) -> None:
    with naming_file(path), EpisodeReader(path) as episode:
        tasks = episode.row_tasks()
    if len(named := list(dict.fromkeys(tasks))) > 1:
        begin = [row for row in range(1, len(tasks)) if tasks[row] != tasks[row - 1]]
        at = " ".join(f"--at {row}" for row in begin)
        raise EpisodeError(
            f"{path}: its rows name the tasks {named}; allowed: one for all of them (`vgil episodes split {path} {at}`)"
        )


def delete(journal: Journal, files: Sequence[Path]) -> str:
    """Move episodes to the trash.

    Raises:
        EpisodeError: where one of them is still being recorded.
    """
    words = f"{_named(files)} deleted"
    with journal.operation("delete", words) as draft:
        for path in files:
            if path.name.endswith(naming.PART):
                with naming.not_being_written(path):
                    pass
            draft.leave_with_log(path)
    return words


def restore(journal: Journal, names: Sequence[str]) -> tuple[str, list[Path]]:
    """Bring deleted episodes back, to their own numbers where these are free, else to the next.

    Args:
        journal: of the folder, held.
        names: files' names as they were; none for all that were deleted.

    Returns:
        Words, and the files.

    Raises:
        EpisodeError: where one of them was not deleted.
    """
    deleted = {}  # the newest of each name
    for entry in journal.entries():
        if entry.operation == "delete" and entry.state == DONE:
            logs = {naming.log_of(Path(move.path)) for move in entry.leaving}  # they come with their episodes
            for move in entry.leaving:
                if Path(move.path) not in logs and (place := journal.place(entry) / LEFT / move.name).is_file():
                    deleted[move.path] = place
    if missing := [name for name in names if name not in deleted]:
        raise EpisodeError(f"{journal.root}: {missing} are not in the trash; found {sorted(deleted)}")
    wanted = list(names or deleted)
    if not wanted:
        raise EpisodeError(f"{journal.root}: there is nothing in the trash")
    taken = {path.name for path in journal.root.iterdir()}
    places, free = [], 1 + max(naming.taken_numbers(journal.root), default=-1)
    for name in wanted:
        if name in taken:
            name, free = naming.with_number(Path(name), free).name, free + 1
        taken.add(name)
        places.append(journal.root / name)
    words = f"{_named(places)} restored"
    with journal.operation("restore", words) as draft:
        for name, place in zip(wanted, places, strict=True):
            draft.rename_with_log(deleted[name], place)
    return words, places


def trim(journal: Journal, path: Path, first: int, last: int) -> str:
    """Leave of an episode the rows first..last, both included. Raises as `rows.write_run`."""
    rows = rows_in(path)
    check_range(path, rows, first, last)
    words = f"{path.name}: rows {first} to {last} of {rows} kept"
    with journal.operation("trim", words) as draft:
        draft.leave(path)
        write_run(path, draft.come(path), first, last)
    return words


def split(journal: Journal, path: Path, at: Sequence[int]) -> tuple[str, list[Path]]:
    """Make several episodes of one: each begins at a row that is named, the first at 0.

    The first keeps the file's number, the others take the next free ones. What was said of success holds for the last
    alone. Raises as `rows.write_run`.
    """
    rows, beginnings = rows_in(path), [0, *at]
    if sorted(set(beginnings)) != beginnings or not at or beginnings[-1] >= rows:
        raise EpisodeError(f"{path}: split at {list(at)}; allowed: rows that rise, from 1 to {rows - 1}")
    ends = [row - 1 for row in beginnings[1:]] + [rows - 1]
    number = naming.number_of(naming.next_free(path)) or 0
    places = [path, *(naming.with_number(path, number + i) for i in range(len(at)))]
    words = f"{path.name} split into {_named(places)}"
    with journal.operation("split", words) as draft:
        draft.leave(path)
        for place, first, last in zip(places, beginnings, ends, strict=True):
            made = draft.come(place)
            write_run(path, made, first, last)
            if place != places[-1]:
                write_label(made, Label("unsure"))
    return words, places


def renumber(journal: Journal) -> tuple[str, int]:
    """Number the episodes of a folder 0, 1, 2 ... in their order; files of other names stay.

    Returns:
        Words, and how many have another number now; where none has, there is nothing to undo.

    Raises:
        EpisodeError: where an episode is being recorded into the folder.
    """
    if parts := naming.parts_in(journal.root):
        raise EpisodeError(
            f"{parts[0]}: is being recorded, or was left by a killed recorder (`vgil episodes repair`); renumber later"
        )
    numbered = [path for path in naming.episodes_in(journal.root) if naming.number_of(path) is not None]
    moves = [(path, path.with_name(f"episode_{i}.hdf5")) for i, path in enumerate(numbered)]
    moves = [(old, new) for old, new in moves if old != new]
    if not moves:
        return f"{len(numbered)} episodes: numbered without a gap already", 0
    words = f"{len(moves)} of {len(numbered)} episodes renumbered"
    with journal.operation("renumber", words) as draft:
        for old, new in moves:
            draft.rename_with_log(old, new)
    return words, len(moves)


def _named(files: Sequence[Path]) -> str:
    names = [path.name for path in files]
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:3])} and {len(names) - 3} others"
