"""One episode: looked at row by row, labelled, trimmed, thrown away and brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nicegui import ui
from nicegui.events import GenericEventArguments

from vgil_ros.core.episode_label import VERDICTS
from vgil_ros.core.errors import VgilError
from vgil_ros.web.episodes.folders import dataset_of
from vgil_ros.web.episodes.pictures import grid_of, state_of
from vgil_ros.web.episodes.store import EpisodeStore
from vgil_ros.web.episodes.track import Track, read_track
from vgil_ros.web.pages.episodes.actions import ICONS
from vgil_ros.web.pages.episodes.acts import Acts
from vgil_ros.web.pages.episodes.beside import Findings, Flags, Pose
from vgil_ros.web.pages.episodes.dialogs import trash_dialog, words_dialog
from vgil_ros.web.pages.episodes.keys import ACTING, MOVING, Keys
from vgil_ros.web.pages.episodes.plots import Plots
from vgil_ros.web.pages.episodes.timeline import Timeline
from vgil_ros.web.pages.episodes.words import (
    LABEL_COLORS,
    LABEL_KEYS,
    address_of,
    duration,
    frame_of,
    list_of,
    size,
    together_of,
    verdict_color,
)
from vgil_ros.web.pages.frame import Page, frame
from vgil_ros.web.parts.film import Film, FilmCamera
from vgil_ros.web.site import Site

AT_WORK = ("recording", "running")  # states of nodes that come before what a page fetches ahead
FOLLOW_S, WATCH_S = 0.3, 0.7  # what follows the row beside the cameras; looks at the file


class _Range(ui.range):
    LOOPBACK = False


def one_page(site: Site, store: EpisodeStore) -> None:
    """Put an episode at `/episodes/PLACE`."""

    @ui.page("/episodes/{place:path}", title="Episode")
    async def page(place: str) -> None:
        with frame(site, "/episodes") as own:
            try:
                path = store.folders.file(place)
            except VgilError as error:
                with ui.column().classes("p-4 gap-3"):
                    ui.label(str(error)).classes("text-lg")
                    ui.link("all episodes", "/episodes").classes("text-lg")
                return
            view = EpisodePage(own, store, path)
            await view.load()


class EpisodePage:
    """An episode in somebody's browser; it is read anew when its file changes.

    Args:
        page: whose it is.
        path: the file.
    """

    def __init__(self, page: Page, store: EpisodeStore, path: Path) -> None:
        self.page, self.store, self.path = page, store, path
        self.folder = dataset_of(path)
        self.name = path.relative_to(self.folder).as_posix()
        self.acts = Acts(page, store, self.folder)
        self.track: Track | None = None
        self.keys = Keys()
        self._told = False  # whether the verdict is shown
        self._followed = -1
        self._place = 0  # among the episodes of its folder
        self._busy = False
        self._content = ui.column().classes("w-full p-3 gap-2")
        self._bind()
        page.every(FOLLOW_S, self._follow)
        ui.timer(WATCH_S, self._watch)

    # ---- building

    async def load(self) -> None:
        """Read the file, and show it."""
        row = self._film.row if self.track is not None else 0
        self.track, self._told, self._followed = None, False, -1
        try:
            track = await asyncio.to_thread(read_track, self.path)
        except VgilError as error:
            self._missing(str(error))
            return
        listing = self.store.listing(self.folder)
        await asyncio.to_thread(listing.refresh)
        names = [row.name for row in listing.rows() if not row.part]
        self._place = names.index(self.name) if self.name in names else 0
        self._content.clear()
        with self._content:
            self._build(track, row)
        self.track = track

    def _missing(self, words: str) -> None:
        self._content.clear()
        gone = not self.path.exists()
        with self._content, ui.column().classes("p-6 gap-3"):
            ui.label(f"{self.name} is not here any more" if gone else self.name).classes("text-2xl").props(
                "data-testid=gone"
            )
            ui.label("deleted or renamed" if gone else words).classes("text-base")
            with ui.row():
                ui.button("Undo", icon="undo", on_click=self.acts.undo).props('no-caps aria-label="undo, key z"')
                ui.button("Next episode", icon="skip_next", on_click=lambda: self._turn(1)).props("no-caps outline")
                ui.button("All episodes", icon="list", on_click=self._home).props("no-caps outline")

    def _build(self, track: Track, row: int) -> None:
        self._head(track)
        with ui.element("div").classes("grid w-full gap-3 grid-cols-1 lg:grid-cols-[minmax(0,2.4fr)_minmax(0,1fr)]"):
            with ui.column().classes("w-full gap-2 min-w-0"):
                self._film = self._filmed(track, row)
                self._trimming(track)
                self._timeline = Timeline(track, self._film.go)
                self._plots = Plots(track, self._film.go, lambda: self._film.row)
            with ui.column().classes("w-full gap-2 min-w-0"):
                self._acting(track)
                self._findings = Findings(self._film.go)
                self._pose = Pose(track)
                self._flags = Flags(track)

    def _filmed(self, track: Track, row: int) -> Film:
        place = self.store.folders.place(self.path)
        shown = [(name, name, False) for name in track.cameras]
        shown += [(name, f"{name} (depth)", True) for name in track.depths]
        cameras = [
            FilmCamera(name, title, frame_of(place, name, "{row}", track.version, depth=depth))
            for name, title, depth in shown
        ]
        together = together_of(place, "{row}", track.version)
        return Film(cameras, together, grid_of(len(cameras)), track.rows, track.rate_hz, row)

    def _head(self, track: Track) -> None:
        line = track.line
        with ui.row().classes("w-full items-center gap-3"):
            for icon, do, says in (
                ("arrow_back", self._home, "all episodes"),
                ("navigate_before", lambda: self._turn(-1), "episode before, key PageUp"),
                ("navigate_next", lambda: self._turn(1), "next episode, key PageDown"),
            ):
                ui.button(icon=icon, on_click=do).props(f'flat round dense aria-label="{says}"').tooltip(says)
            ui.label(self.name).classes("text-2xl font-medium")
            if line.label:
                ui.badge(line.label, color=LABEL_COLORS[line.label]).classes("text-base px-3").props(
                    "data-testid=label"
                )
            self._verdict = ui.badge("checking…", color="grey-7").classes("text-base px-3").props("data-testid=verdict")
            facts = (line.task, f"{track.rows} rows", duration(line.seconds), f"{track.rate_hz:g} Hz", size(line.bytes))
            ui.label("  ·  ".join(fact for fact in (*facts, *line.problems) if fact)).classes("text-base")
        said = [f"{key}: {text}" for key in ("operator", "object", "scene", "note") if (text := getattr(line, key))]
        if words := [*(f"#{tag}" for tag in line.tags), *said]:
            ui.label("   ".join(words)).classes("text-base whitespace-pre-wrap").props("data-testid=words")

    def _trimming(self, track: Track) -> None:
        last = max(1, track.rows - 1)
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            ui.icon("content_cut", size="sm").classes("mx-1")
            self._handles = (
                _Range(min=0, max=last, value={"min": 0, "max": last}).classes("grow").props("data-testid=handles")
            )
            self._handles.props('color=secondary aria-label="rows to keep, keys [ and ]"')
            self._handles.on("update:model-value", self._handled, [None], throttle=0.05)
            self._trim = ui.button("Trim", on_click=self._do_trim).props("no-caps outline dense").classes("w-56")
            self._trim.props("data-testid=trim")
        self._keep(0, last)

    def _acting(self, track: Track) -> None:
        with ui.row().classes("w-full gap-2"):
            for verdict, key in LABEL_KEYS:
                button = ui.button(verdict, icon=ICONS[verdict], on_click=lambda v=verdict: self._label(v))
                button.props(f'no-caps color={LABEL_COLORS[verdict]} aria-label="label {verdict}, key {key}"')
                button.classes("grow").tooltip(f"key {key}")
        with ui.row().classes("w-full gap-2"):
            for text, icon, do, key in (
                ("Tag, note…", "sell", self._words, "t"),
                ("Delete", "delete", self._delete, "Delete"),
                ("Undo", "undo", self.acts.undo, "z"),
                ("History…", "history", lambda: trash_dialog(self.keys, self.acts), "h"),
            ):
                button = ui.button(text, icon=icon, on_click=do).props("no-caps outline dense").classes("grow")
                button.props(f'aria-label="{text.rstrip("…")}, key {key}"').tooltip(f"key {key}")

    # ---- keys

    def _bind(self) -> None:
        self.keys.on({" ": self._with_track(lambda: self._film.play_pause())}, ACTING)
        steps = {"ArrowLeft": -1, "ArrowRight": 1, "Shift+ArrowLeft": -10, "Shift+ArrowRight": 10}
        self.keys.on(
            {key: self._with_track(partial(self._step, n)) for key, n in steps.items()},
            MOVING,
            repeating=True,
        )
        self.keys.on(
            {
                "[": self._with_track(lambda: self._keep(self._film.row, self._kept[1])),
                "]": self._with_track(lambda: self._keep(self._kept[0], self._film.row)),
                "Home": self._with_track(lambda: self._film.go(0)),
                "End": self._with_track(lambda: self._film.go(1 << 30)),
                "Delete": self._delete,
                "z": self.acts.undo,
                "t": self._words,
                "h": lambda: trash_dialog(self.keys, self.acts),
                "PageUp": lambda: self._turn(-1),
                "PageDown": lambda: self._turn(1),
                **{key: partial(self._label, verdict) for verdict, key in LABEL_KEYS},
            }
        )

    def _with_track(self, do: Callable[[], None]) -> Callable[[], None]:
        """`do`, where there is an episode."""
        return lambda: do() if self.track is not None else None

    def _step(self, rows: int) -> None:
        self._film.step(rows)

    # ---- acting

    def _keep(self, first: int, last: int) -> None:
        """Set the trim handles: rows first..last stay."""
        first, last = min(first, last), max(first, last)
        self._kept = (first, last)
        if self._handles.value != {"min": first, "max": last}:
            self._handles.set_value({"min": first, "max": last})
        rows = int(self._handles.max)
        self._trim.set_text(f"Trim to rows {first} to {last}")
        self._trim.set_enabled((first, last) != (0, rows))
        if self.track is not None:
            self._timeline.trim(first, last)

    def _handled(self, event: GenericEventArguments) -> None:
        value = event.args
        if isinstance(value, dict):
            before = self._kept
            self._keep(int(value["min"]), int(value["max"]))
            moved = [now for now, was in zip(self._kept, before, strict=True) if now != was]
            if moved:
                self._film.go(moved[0])

    async def _do_trim(self) -> None:
        await self.acts.trim(self.name, *self._kept)

    async def _label(self, verdict: str) -> None:
        await self.acts.verdict([self.name], next(one for one in VERDICTS if one == verdict))

    async def _delete(self) -> None:
        await self.acts.delete([self.name])

    def _words(self) -> None:
        if self.track is not None:
            words_dialog(self.keys, self.acts, [self.name], self.track.line)

    def _turn(self, by: int) -> None:
        """Open the next episode of the folder, or the one before."""
        listing = self.store.listing(self.folder)
        names = [row.name for row in listing.rows() if not row.part]
        gone = self._place - (by < 0)  # another took its place
        at = names.index(self.name) + by if self.name in names else gone
        if 0 <= at < len(names):
            ui.navigate.to(address_of(self.store.folders.place(self.folder / names[at])))
        else:
            self._home()

    def _home(self) -> None:
        ui.navigate.to(list_of(self.store.folders.name_of(self.folder)))

    # ---- what goes on by itself

    def _follow(self) -> None:
        if self.track is None:
            return
        row = self._film.row
        still = row == self._followed and not self._film.playing
        self._pose.show(row, still=still)
        if row != self._followed:
            self._followed = row
            self._plots.cursor(row)
            self._flags.show(row)

    async def _watch(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            try:
                state = await asyncio.to_thread(state_of, self.path)
            except VgilError:
                state = None
            if state != (self.track.state if self.track is not None else None):
                await self.load()
            if state is not None and self.track is not None:
                nodes = self.page.site.view().statuses.values()
                self._film.fetch_ahead(not any(node.values.get("state") in AT_WORK for node in nodes))
                if not self._told:
                    self._look_for_verdict()
        finally:
            self._busy = False

    def _look_for_verdict(self) -> None:
        assert self.track is not None
        verdict = self.store.verdicts.of(self.path, self.track.state)
        if verdict is None:
            self.store.verdicts.want([self.path])
            return
        self._told = True
        self._verdict.set_text(verdict.words)
        self._verdict.props(f"color={verdict_color(verdict)}")
        self._findings.show(verdict)
        self._timeline.show(verdict)
