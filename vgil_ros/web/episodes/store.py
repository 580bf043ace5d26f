"""The episodes of a page: what all its viewers share. What blocks is done in threads; what takes long, in a process."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.convert import MAKING
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import DONE, Entry, Journal
from vgil_ros.episodes.curation.merging import merge_files
from vgil_ros.web.episodes.folders import DataFolders
from vgil_ros.web.episodes.listing import Listing
from vgil_ros.web.episodes.pictures import Pictures
from vgil_ros.web.episodes.verdicts import Verdicts
from vgil_ros.web.episodes.worker import Worker
from vgil_ros.web.link import Answer

T = TypeVar("T")
UNDO = "z takes it back"


@dataclass
class Export:
    """An export under way, or the last one.

    Attributes:
        out: the new folder.
        what: what is done now, in words.
        done, count: how much of it.
        ended: what came of it; None while it goes on.
    """

    out: Path
    what: str = "starting"
    done: int = 0
    count: int = 0
    ended: Answer | None = None
    worker: Worker = field(default_factory=Worker)
    cancelled: bool = False

    def tell(self, what: str, done: int, count: int) -> None:
        """It is so far."""
        self.what, self.done, self.count = what, done, count


class EpisodeStore:
    """The episodes under a dataset folder.

    Args:
        root: the dataset folder.
    """

    def __init__(self, root: Path) -> None:
        self.folders = DataFolders(root)
        self.pictures = Pictures()
        self.verdicts = Verdicts()
        self.export: Export | None = None
        self._listings: dict[Path, Listing] = {}
        self._locks: dict[Path, asyncio.Lock] = {}
        self._guard = threading.Lock()

    def listing(self, folder: Path) -> Listing:
        """The list of a folder, one for all viewers."""
        with self._guard:
            return self._listings.setdefault(folder, Listing(folder))

    def close(self) -> None:
        """End what goes on."""
        self.verdicts.close()
        self.pictures.close()
        if self.export is not None:
            self.cancel_export()

    # ---- curation: the operations of `vgil episodes`, one at a time in a folder

    async def curate(self, folder: Path, what: Callable[[Journal], str]) -> Answer:
        """Carry an operation out in a folder's journal.

        Raises:
            VgilError: it could not be.
        """
        async with self._locks.setdefault(folder, asyncio.Lock()):
            words = await asyncio.to_thread(_in_journal, folder, what)
            await asyncio.to_thread(self.listing(folder).refresh, now=True)
        return Answer(True, words)

    async def undo(self, folder: Path) -> Answer:
        """Take the last operation of a folder back. Raises as `curate`."""
        return await self.curate(folder, _undone)

    async def restore(self, folder: Path, names: Sequence[str]) -> Answer:
        """Bring deleted episodes back. Raises as `curate`."""
        return await self.curate(folder, lambda journal: operations.restore(journal, names)[0])

    async def merge(self, files: Sequence[Path], out: Path, *, mixed: bool) -> Answer:
        """Copy episodes into a new data set.

        Raises:
            VgilError: they are not of one set-up, or the folder is there.
        """
        told = await asyncio.to_thread(partial(merge_files, files, out, mixed=mixed))
        differing = f"; they differ in {' | '.join(told)}" if told else ""
        return Answer(True, f"{len(files)} episodes in {out.name}{differing}")

    # ---- export

    async def start_export(self, plan: dict[str, Any], out: Path) -> Answer:
        """Begin `vgil dataset convert` in a process beside; `export` tells how far it is.

        Raises:
            VgilError: one is under way, or the folder is there.
        """
        if self.export is not None and self.export.ended is None:
            raise VgilError(f"found an export into {self.export.out.name} under way; allowed: one at a time")
        if out.exists():
            raise VgilError(f"{out}: is there already; allowed: a new folder")
        self.export = export = Export(out)
        threading.Thread(target=_export, args=(export, plan), name="export", daemon=True).start()
        return Answer(True, f"exporting into {out.name}")

    def cancel_export(self) -> None:
        """End an export that is under way; what it made is taken away."""
        export = self.export
        if export is not None and export.ended is None:
            export.cancelled = True
            export.worker.end()


def entries_of(folder: Path) -> list[Entry]:
    """A folder's operations, newest first. Reads the disk."""
    return Journal(folder).entries()[::-1]


def undoable(entries: Sequence[Entry]) -> Entry | None:
    """What `undo` would take back."""
    return next((entry for entry in entries if entry.state == DONE), None)


def _in_journal(folder: Path, what: Callable[[Journal], str]) -> str:
    with Journal(folder).held() as journal:
        return what(journal)


def _undone(journal: Journal) -> str:
    entry = journal.undo()
    return f"undone: {entry.words}"


def _export(export: Export, plan: dict[str, Any]) -> None:
    request = {"do": "export", "plan": plan, "out": str(export.out)}
    try:
        result = export.worker.ask(request, export.tell)
        left = result["left_out"]
        words = f"{result['episodes']} episodes in {export.out.name}"
        if left:
            words += f"; left out {len(left)}: {next(iter(left.values()))}"
        ended = Answer(not left, words)
    except VgilError as error:
        ended = Answer(False, "export cancelled" if export.cancelled else str(error))
        if export.cancelled and (export.out / MAKING).is_dir():  # ours: it was not there before
            shutil.rmtree(export.out, ignore_errors=True)
    finally:
        export.worker.end()
    export.ended = ended
