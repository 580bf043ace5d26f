"""What a visitor can do to episodes: the operations of `vgil episodes` and `vgil dataset convert`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vgil_ros.core.episode_label import Verdict
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.curation.labels import Label
from vgil_ros.web.episodes.store import UNDO, EpisodeStore
from vgil_ros.web.link import Answer
from vgil_ros.web.pages.frame import Page


class Acts:
    """Acts on the episodes of one folder, each only where the visitor may.

    Args:
        page: whose it is.
        folder: the data set.
    """

    def __init__(self, page: Page, store: EpisodeStore, folder: Path) -> None:
        self.page, self.store, self.folder = page, store, folder

    def files(self, names: Sequence[str]) -> list[Path]:
        """The files of names in the folder.

        Raises:
            VgilError: one is gone, or none is named.
        """
        if not names:
            raise VgilError("found no episode; allowed: one at least, tick some")
        folders = self.store.folders
        return [folders.file(folders.place(self.folder / name)) for name in names]

    async def verdict(self, names: Sequence[str], verdict: Verdict) -> Answer:
        """Say of episodes whether they succeeded."""
        return await self.label(names, partial(Label, verdict))

    async def label(self, names: Sequence[str], make: Callable[[], Label]) -> Answer:
        """Label episodes; `make` may refuse what was typed."""
        return await self._curate(lambda journal: operations.label(journal, self.files(names), make()))

    async def delete(self, names: Sequence[str]) -> Answer:
        """Move episodes to the trash."""
        return await self._curate(lambda journal: operations.delete(journal, self.files(names)))

    async def trim(self, name: str, first: int, last: int) -> Answer:
        """Leave rows first..last of an episode, both included."""
        return await self._curate(lambda journal: operations.trim(journal, self.files([name])[0], first, last))

    async def undo(self) -> Answer:
        """Take the folder's last operation back."""
        return await self.page.act(lambda: self.store.undo(self.folder))

    async def restore(self, names: Sequence[str]) -> Answer:
        """Bring deleted episodes back."""
        return await self.page.act(lambda: self.store.restore(self.folder, names))

    async def merge(self, names: Sequence[str], others: Sequence[str], out: str, *, mixed: bool) -> Answer:
        """Copy episodes, and all of other folders, into a new data set beside this one."""

        def begin() -> Awaitable[Answer]:
            files = self.files(names)
            for other in others:
                files += naming.episodes_in(self.store.folders.folder(other))
            return self.store.merge(files, self.store.folders.beside(self.folder, out), mixed=mixed)

        return await self.page.act(begin)

    async def export(self, names: Sequence[str], to: str, images: str | None, out: str) -> Answer:
        """Begin an export of episodes; of all of the folder where none is named."""

        def begin() -> Awaitable[Answer]:
            plan: dict[str, Any] = {"source": str(self.folder), "to": to, "images": images}
            if names:
                plan["only"] = [path.stem for path in self.files(names)]
            return self.store.start_export(plan, self.store.folders.beside(self.folder, out))

        return await self.page.act(begin)

    async def cancel_export(self) -> Answer:
        """End the export that is under way."""

        async def cancel() -> Answer:
            self.store.cancel_export()
            return Answer(True, "export is being cancelled")

        return await self.page.act(cancel)

    async def _curate(self, what: Callable[[Journal], str]) -> Answer:
        return await self.page.act(lambda: self.store.curate(self.folder, lambda journal: f"{what(journal)}; {UNDO}"))
