"""The bar above the list: what is done with the episodes that are ticked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from nicegui import ui

from vgil_ros.core.episode_label import VERDICTS
from vgil_ros.web.episodes.store import EpisodeStore
from vgil_ros.web.pages.episodes.acts import Acts
from vgil_ros.web.pages.episodes.copies import export_dialog, merge_dialog
from vgil_ros.web.pages.episodes.dialogs import trash_dialog, words_dialog
from vgil_ros.web.pages.episodes.keys import Keys
from vgil_ros.web.pages.episodes.words import LABEL_COLORS, LABEL_KEYS
from vgil_ros.web.pages.frame import Page

ICONS = {"success": "check_circle", "failure": "cancel", "unsure": "help"}


class Actions:
    """The bar, its keys, and the export that is under way.

    Args:
        page: whose it is.
        folder: the data set.
        selected: names of the episodes that are ticked.
        keys: of the page.
    """

    def __init__(
        self, page: Page, store: EpisodeStore, folder: Path, selected: Callable[[], list[str]], keys: Keys
    ) -> None:
        self.acts, self.selected, self._keys = Acts(page, store, folder), selected, keys
        self._store = store
        self._on_selection: list[ui.button] = []
        with ui.row().classes("w-full items-center gap-2"):
            for verdict, key in LABEL_KEYS:
                button = self._button(verdict, ICONS[verdict], partial(self._label, verdict), f"label {verdict}", key)
                button.props(f"color={LABEL_COLORS[verdict]}")
            self._button("Tag, note…", "sell", self._words, "tags, notes and words of the ticked episodes", "t")
            self._button("Delete", "delete", self._delete, "move the ticked episodes to the trash", "Delete")
            self._button("Merge…", "call_merge", self._merge, "copy the ticked episodes into a new data set")
            self._free("Export…", "ios_share", self._export, "write the episodes in another format")
            ui.space()
            self._free("Undo", "undo", self.acts.undo, "take the last operation back", "z")
            self._free("History, trash…", "history", self._trash, "what was done here, and what was deleted")
        self._export_line()
        keys.on(
            {
                **{key: partial(self._label, verdict) for verdict, key in LABEL_KEYS},
                "Delete": self._delete,
                "z": self.acts.undo,
                "t": self._words,
            }
        )

    def _free(
        self, text: str, icon: str, do: Callable[[], Awaitable[object] | None], says: str, key: str = ""
    ) -> ui.button:
        button = ui.button(text, icon=icon, on_click=do).props(f'no-caps outline aria-label="{says}"')
        button.tooltip(f"{says} (key {key})" if key else says)
        return button

    def _button(
        self, text: str, icon: str, do: Callable[[], Awaitable[object] | None], says: str, key: str = ""
    ) -> ui.button:
        button = self._free(text, icon, do, says, key)
        self._on_selection.append(button)
        return button

    def _export_line(self) -> None:
        with ui.row().classes("w-full items-center gap-3") as self._line:
            self._told = ui.label().classes("text-base").props("role=status")
            self._bar = ui.linear_progress(0.0, show_value=False).classes("grow").props('aria-label="export"')
            self._cancel = ui.button("Cancel", on_click=self.acts.cancel_export)
            self._cancel.props('no-caps outline dense color=negative aria-label="cancel the export"')
        self._line.set_visibility(False)

    def refresh(self) -> None:
        """Something was ticked, or no more."""
        some = bool(self.selected())
        for button in self._on_selection:
            button.set_enabled(some)

    def tick(self) -> None:
        """Tell how far an export is."""
        export = self._store.export
        self._line.set_visibility(export is not None)
        if export is None:
            return
        self._cancel.set_visibility(export.ended is None)
        self._bar.set_visibility(export.ended is None)
        if export.ended is not None:
            self._told.set_text(f"export: {export.ended.message}")
            return
        self._bar.set_value(export.done / export.count if export.count else 0.0)
        self._told.set_text(f"export into {export.out.name}: {export.what}, {export.done} of {export.count}")

    async def _label(self, verdict: str) -> None:
        if names := self.selected():
            await self.acts.verdict(names, next(one for one in VERDICTS if one == verdict))

    async def _delete(self) -> None:
        if names := self.selected():
            await self.acts.delete(names)

    def _words(self) -> None:
        if names := self.selected():
            words_dialog(self._keys, self.acts, names)

    async def _merge(self) -> None:
        if names := self.selected():
            await merge_dialog(self._keys, self.acts, names)

    def _export(self) -> None:
        export_dialog(self._keys, self.acts, self.selected())

    async def _trash(self) -> None:
        await trash_dialog(self._keys, self.acts)
