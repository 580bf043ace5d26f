"""The list of episodes: one page of it at a time is sent, so that a thousand are as quick as ten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from vgil_ros.core.errors import VgilError
from vgil_ros.web.episodes.search import search_of
from vgil_ros.web.episodes.store import EpisodeStore
from vgil_ros.web.pages.episodes.actions import Actions
from vgil_ros.web.pages.episodes.keys import Keys
from vgil_ros.web.pages.episodes.table_rows import PAGES, View, matching, page_of, shown
from vgil_ros.web.pages.episodes.words import list_of
from vgil_ros.web.pages.frame import Page, frame
from vgil_ros.web.site import Site

COLUMNS = (  # name, what stands above it, whether it sorts, how it is aligned
    ("thumb", "", False, "left"),
    ("name", "episode", True, "left"),
    ("rows", "rows", True, "right"),
    ("length", "length", True, "right"),
    ("task", "task", True, "left"),
    ("label", "label", True, "left"),
    ("tags", "tags", True, "left"),
    ("operator", "operator", True, "left"),
    ("verdict", "check", True, "left"),
    ("size", "size", True, "right"),
    ("notes", "notes", False, "left"),
)
SLOTS = {
    "thumb": '<img v-if="props.row.thumb" :src="props.row.thumb" loading="lazy" class="rounded" '
    'style="width: 88px; height: 60px; object-fit: cover" :alt="\'picture of \' + props.row.name">',
    "name": '<a v-if="props.row.href" :href="props.row.href" class="text-base font-medium underline">'
    "{{ props.row.name }}</a><span v-else>{{ props.row.name }}</span>",
    "label": '<q-badge v-if="props.row.label" :color="props.row.label_color" class="text-sm">'
    "{{ props.row.label }}</q-badge>",
    "verdict": '<q-badge :color="props.row.verdict_color" class="text-sm">{{ props.row.verdict }}'
    '<q-tooltip v-if="props.row.reason">{{ props.row.reason }}</q-tooltip></q-badge>',
    "notes": '<div class="text-xs whitespace-normal" style="min-width: 8rem">{{ props.row.notes }}</div>',
    "task": '<div class="whitespace-normal" style="min-width: 7rem">{{ props.row.task }}</div>',
}
TICKS = {  # boxes to tick, with a name
    "header-selection": '<q-checkbox v-model="props.selected" aria-label="tick all on this page" />',
    "body-selection": '<q-checkbox v-model="props.selected" :aria-label="\'tick \' + props.row.name" />',
}
TICK_S, LOOK_S, FOLDERS_S = 0.3, 0.6, 5.0
HINT = "words, or a sentence such as: success and length > 200 and not tag:bad"


def table_page(site: Site, store: EpisodeStore) -> None:
    """Put the list at `/episodes`."""

    @ui.page("/episodes", title="Episodes")
    async def page(folder: str | None = None) -> None:
        names = await asyncio.to_thread(store.folders.names)
        chosen = names[0] if folder is None else folder
        with frame(site, "/episodes") as own:
            try:
                path = store.folders.folder(chosen) if chosen else store.folders.root
            except VgilError as error:
                ui.label(str(error)).classes("text-lg p-4")
                return
            table = EpisodeTable(own, store, path, names)
            await table.begin()


class EpisodeTable:
    """The list in somebody's browser.

    Args:
        page: whose it is.
        folder: the episodes'.
        names: of all folders.
    """

    def __init__(self, page: Page, store: EpisodeStore, folder: Path, names: list[str]) -> None:
        self.page, self.store, self.folder = page, store, folder
        self.listing = store.listing(folder)
        self.view = View()
        self._shown: list[dict[str, Any]] = []
        self._seen = (-1, -1)
        self._busy = False
        with ui.column().classes("w-full p-3 gap-2"):
            self._head(names)
            keys = Keys()
            self.actions = Actions(page, store, folder, self.selected, keys)
            self._table()
        self.actions.refresh()
        ui.timer(TICK_S, self._tick)
        ui.timer(FOLDERS_S, self._look_for_folders)

    async def begin(self) -> None:
        """Show the first page at once; the rest is looked at while it is there."""
        await asyncio.to_thread(self.listing.refresh)
        _, rows = page_of(matching(self.listing, self.view, self.store)[0], self.view)
        await asyncio.to_thread(self.listing.look, [row.name for row in rows])
        self.refresh()

    def _head(self, names: list[str]) -> None:
        own = self.store.folders.name_of(self.folder)
        with ui.row().classes("w-full items-start gap-3"):
            self._folders = ui.select(self._options(names, own), value=own, label="folder", on_change=self._go)
            self._folders.classes("min-w-48 text-base").props('outlined dense aria-label="folder of episodes"')
            self._search = ui.input(label="search", on_change=self._search_changed).classes("grow text-base")
            self._search.props(f'outlined dense clearable debounce=250 hint="{HINT}" aria-label="search episodes"')
            self._count = ui.label().classes("text-base pt-2 min-w-40").props("role=status aria-live=polite")

    def _table(self) -> None:
        columns = [
            {"name": name, "label": label, "field": name, "sortable": sorts, "align": align}
            for name, label, sorts, align in COLUMNS
        ]
        first = {"page": 1, "rowsPerPage": self.view.per_page, "sortBy": "name", "descending": True, "rowsNumber": 0}
        self.table = ui.table(
            columns=columns,
            rows=[],
            row_key="name",
            selection="multiple",
            pagination=first,
            on_select=lambda: self.actions.refresh(),
        )
        self.table.classes("w-full").props("data-testid=episodes")
        self.table.props(
            f':rows-per-page-options="{list(PAGES)}" binary-state-sort flat bordered aria-label="episodes"'
        )
        for name, inner in SLOTS.items():
            self.table.add_slot(f"body-cell-{name}", f'<q-td :props="props">{inner}</q-td>')
        for name, box in TICKS.items():
            self.table.add_slot(name, box)
        self.table.on("request", self._requested, args=["pagination"])

    # ---- what the browser asks

    def selected(self) -> list[str]:
        """Names of the episodes that are ticked, in the list's order."""
        ticked = {row["name"] for row in self.table.selected}
        return [row.name for row in self.listing.rows() if row.name in ticked and not row.part]

    def _requested(self, event: GenericEventArguments) -> None:
        self.view = self.view.asked(event.args["pagination"])
        self.refresh()

    def _search_changed(self, event: ValueChangeEventArguments[Any]) -> None:
        self.view = replace(self.view, page=1, search=search_of(event.value or ""))
        self.refresh()

    def _go(self, event: ValueChangeEventArguments[Any]) -> None:
        ui.navigate.to(list_of(event.value))

    # ---- what goes on by itself

    async def _tick(self) -> None:
        """Look whether anything is new, look into what nobody looked into, and say whose verdicts are wanted."""
        if self._busy:
            return
        self._busy = True
        try:
            await asyncio.to_thread(self.listing.refresh)
            if self.listing.pending:
                await asyncio.to_thread(self.listing.look, [row["name"] for row in self._shown], LOOK_S)
        finally:
            self._busy = False
        rows = [self.listing.row(row["name"]) for row in self._shown]
        if not self.listing.pending:  # one thing after the other
            self.store.verdicts.want(row.path for row in rows if row is not None and not row.part)
        if (self.listing.version, self.store.verdicts.version) != self._seen:
            self.refresh()
        self.actions.tick()

    def _options(self, names: list[str], own: str) -> dict[str, str]:
        return {name: name or self.store.folders.root.name for name in (*names, *([] if own in names else [own]))}

    async def _look_for_folders(self) -> None:
        names = await asyncio.to_thread(self.store.folders.names)
        options = self._options(names, self._folders.value)
        if options != self._folders.options:
            self._folders.set_options(options)

    def refresh(self) -> None:
        """Show the page anew, if anything on it is other than before."""
        self._seen = (self.listing.version, self.store.verdicts.version)
        rows, fault = matching(self.listing, self.view, self.store)
        page, seen = page_of(rows, self.view)
        self.view = replace(self.view, page=page)
        told = [shown(self.store, row) for row in seen]
        pagination = {
            "page": page,
            "rowsPerPage": self.view.per_page,
            "sortBy": self.view.sort,
            "descending": self.view.descending,
            "rowsNumber": len(rows),
        }
        if told != self._shown or pagination != self.table.pagination:
            self._shown = told
            self.table.rows[:] = told
            self.table.pagination = pagination
            self.table.update()
        self._tell(len(rows), fault)

    def _tell(self, count: int, fault: str) -> None:
        total, pending = len(self.listing.rows()), self.listing.pending
        words = f"{count} of {total} episodes" if count != total else f"{total} episodes"
        self._count.set_text(f"{words}, {pending} unread" if pending else words)
        sentence = "a sentence of vgil episodes filter" if self.view.search.where is not None else HINT
        hint = fault[:160] or sentence
        if self._search.props.get("hint") != hint:
            self._search.props["hint"] = hint
        self._search.props["error"] = bool(fault)
        self._search.props["error-message"] = hint
        alive = {row.name for row in self.listing.rows()}
        if any(row["name"] not in alive for row in self.table.selected):
            self.table.selected = [row for row in self.table.selected if row["name"] in alive]
            self.actions.refresh()
