"""`vgil episodes label, delete, restore, trim, split, merge, renumber, filter, undo, trash`: curation by command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from vgil_ros.cli.episodes.commands import app
from vgil_ros.cli.episodes.options import files_of
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.episode_label import VERDICTS
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import TRASH, Journal
from vgil_ros.episodes.curation.labels import WORDS, Label
from vgil_ros.episodes.curation.merging import merge as merge_folders
from vgil_ros.episodes.curation.rows import rows_in
from vgil_ros.episodes.curation.where import Where, facts_of
from vgil_ros.episodes.errors import EpisodeError

BAD = 1
Episodes = Annotated[list[Path], typer.Argument(help="Episode files, or folders of them.")]
OneEpisode = Annotated[Path, typer.Argument(help="An episode file.")]
Folder = Annotated[Path, typer.Argument(help="A dataset's folder.")]


def _bar(text: str) -> Callable[[Iterable[Path]], Iterable[Path]]:
    return lambda files: tqdm(files, desc=text, unit="episode", delay=1, leave=False)


def _by_folder(files: Iterable[Path]) -> dict[Path, list[Path]]:
    out: dict[Path, list[Path]] = {}
    for path in files:
        out.setdefault(path.parent, []).append(path)
    return out


def _told(words: str) -> None:
    typer.echo(f"{words}; `vgil episodes undo` takes it back")


@app.command()
def label(
    words: Annotated[
        list[str],
        typer.Argument(help=f"Episode files or folders, and one of: {', '.join(VERDICTS)}.", metavar="FILE... [LABEL]"),
    ],
    tag: Annotated[list[str] | None, typer.Option(help="A tag to add; may be given several times.")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="A tag to take away.")] = None,
    note: Annotated[str | None, typer.Option(help="A note; '' takes it away.")] = None,
    operator: Annotated[str | None, typer.Option(help="Who showed it.")] = None,
    object: Annotated[str | None, typer.Option(help="With which object.")] = None,
    scene: Annotated[str | None, typer.Option(help="In which scene.")] = None,
    task: Annotated[str | None, typer.Option(help="What was shown.")] = None,
) -> None:
    """Say of episodes whether they succeeded, with tags and notes; kept in the files themselves."""
    verdicts = [word for word in words if word in VERDICTS and not Path(word).exists()]
    if len(verdicts) > 1:
        raise VgilError(f"found {verdicts}; allowed: one of {list(VERDICTS)}")
    paths = [Path(word) for word in words if word not in verdicts]
    if not paths:
        raise VgilError("no episode is named; allowed: files, or folders of them")
    given = dict(zip(WORDS, (note, operator, object, scene, task), strict=True))
    said: Any = verdicts[0] if verdicts else None
    what = Label(
        said, tuple(tag or ()), tuple(untag or ()), {key: text for key, text in given.items() if text is not None}
    )
    for folder, files in _by_folder(files_of(paths)).items():
        with Journal(folder).held() as journal:
            _told(operations.label(journal, files, what, progress=_bar("label")))


@app.command()
def delete(files: Episodes) -> None:
    """Move episodes to the dataset's trash; nothing is lost until `vgil episodes trash --purge`."""
    for folder, chosen in _by_folder(files_of(files)).items():
        with Journal(folder).held() as journal:
            _told(operations.delete(journal, chosen))


@app.command()
def restore(
    folder: Folder,
    names: Annotated[list[str] | None, typer.Argument(help="Names of deleted files; all where left out.")] = None,
) -> None:
    """Bring deleted episodes back."""
    with Journal(folder).held() as journal:
        words, _ = operations.restore(journal, names or ())
        _told(words)


@app.command()
def trim(
    file: OneEpisode,
    first: Annotated[int, typer.Option("--from", help="The first row to keep.")] = 0,
    last: Annotated[int | None, typer.Option("--to", help="The last row to keep; the last there is.")] = None,
) -> None:
    """Leave of an episode only some rows; the observation after the last stays as its end."""
    with Journal(file.parent).held() as journal:
        rows = rows_in(file)
        _told(operations.trim(journal, file, first, rows - 1 if last is None else last))


@app.command()
def split(
    file: OneEpisode,
    at: Annotated[list[int], typer.Option("--at", help="The row at which another episode begins; several times.")],
) -> None:
    """Make several episodes of one."""
    with Journal(file.parent).held() as journal:
        words, _ = operations.split(journal, file, at)
        _told(words)


@app.command()
def renumber(folder: Folder) -> None:
    """Number a folder's episodes 0, 1, 2 ... without gaps."""
    with Journal(folder).held() as journal:
        words, moved = operations.renumber(journal)
        (_told if moved else typer.echo)(words)


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Datasets' folders, in the order of the new numbers.")],
    out: Annotated[Path, typer.Option("--out", help="The new folder; it must not exist.")],
    mixed: Annotated[bool, typer.Option("--mixed", help="Also where rates, joints or gripper ranges differ.")] = False,
) -> None:
    """Copy several datasets into a new one; every difference of their set-ups is named."""
    for words in merge_folders(folders, out, mixed=mixed, progress=_bar("merge")):
        typer.echo(f"warning: {words}", err=True)
    typer.echo(f"{len(files_of([out]))} episodes in {out}")


@app.command("filter")
def filter_command(
    paths: Episodes,
    where: Annotated[str, typer.Option("--where", help="Such as: success and length > 200 and not tag:bad")],
    json: JsonFile = None,
) -> None:
    """Print the files of the episodes of which a sentence holds; exit code 1 where a file could not be read."""
    sentence, found, unread = Where(where), [], 0
    for path in tqdm(files_of(paths), desc="filter", unit="episode", delay=1, leave=False):
        try:
            facts = facts_of(path)
        except EpisodeError as error:
            unread += 1
            typer.echo(f"error: {error}", err=True)
            continue
        if sentence.matches(facts):
            found.append((path, facts))
    for path, _ in found:
        typer.echo(path)
    write_json(json, [{"path": path, **facts} for path, facts in found])
    raise typer.Exit(BAD if unread else 0)


@app.command()
def undo(folder: Folder) -> None:
    """Take back the last label, delete, restore, trim, split or renumber of a folder."""
    with Journal(folder).held() as journal:
        entry = journal.undo()
        typer.echo(f"undone: {entry.operation}: {entry.words}")


@app.command()
def trash(
    folder: Folder,
    purge: Annotated[bool, typer.Option("--purge", help="Delete for good all that was deleted or replaced.")] = False,
    json: JsonFile = None,
) -> None:
    """List what was done to a dataset, and what its trash holds; --purge empties it."""
    journal = Journal(folder)
    if purge:
        with journal.held():
            typer.echo(f"{journal.purge() / 1e6:.1f} MB are free; nothing can be undone any more")
        return
    entries = journal.entries()
    write_json(json, [asdict(entry) for entry in entries])
    for entry in entries:
        typer.echo(f"{entry.number}  {entry.created}  {entry.operation}  {entry.state}: {entry.words}")
    typer.echo(f"{len(entries)} operations in {folder / TRASH}")
