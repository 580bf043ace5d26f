"""Record: the state in letters that are read from across the room, one key for each thing, and the verdict at once."""

from __future__ import annotations

from functools import partial

from nicegui import ui
from nicegui.events import KeyEventArguments

from vgil_ros.web.link import Answer, NodeStatus
from vgil_ros.web.pages.frame import Page, frame
from vgil_ros.web.pages.live import no_robot
from vgil_ros.web.parts.cameras import CameraGrid
from vgil_ros.web.parts.sounds import TONES
from vgil_ros.web.recording import KEYS, SoundWatch, banner, counter, progress, verdict
from vgil_ros.web.site import Site

FAST_S = 0.2
SAID = (("task", "task"), ("operator", "operator"), ("object", "object"), ("scene", "scene"), ("note", "note"))
BUTTONS = (  # what it does, what stands on it, icon, colour, key
    ("discard", "Discard", "delete", "grey-8", "d"),
    ("redo", "Redo", "replay", "grey-8", "r"),
    ("label_success", "Success", "check_circle", "positive", "y"),
    ("label_failure", "Failure", "cancel", "negative", "n"),
    ("label_unsure", "Unsure", "help", "warning", "u"),
)


def record_page(site: Site) -> None:
    """Put the page at `/record`."""

    @ui.page("/record", title="Record - vgil_ros")
    def record() -> None:
        with frame(site, "/record") as page:
            if site.link is None:
                no_robot()
                return
            RecordView(page)


class RecordView:
    """The page's content."""

    def __init__(self, page: Page) -> None:
        assert page.site.link is not None
        self._page, self._contract = page, page.site.link.contract
        self._sounds = SoundWatch()
        with ui.column().classes("w-full gap-2 p-2"):
            self._banner()
            with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-[3fr_2fr] gap-2 w-full"):
                with ui.column().classes("min-w-0"):
                    self._cameras = CameraGrid(self._contract, page.site.hub, page.visitor.session)
                with ui.column().classes("gap-2 min-w-0"):
                    self._buttons()
                    self._last()
                    self._goal()
                    self._words()
        self._audio = {name: ui.audio(f"/sound/{name}.wav", controls=False) for name in TONES}
        # keys are keys after a click on a button too: a foot pedal stops what a mouse has started
        ui.keyboard(self._on_key, ignore=["input", "select", "textarea"], repeating=False)
        page.every(FAST_S, self._refresh)

    @property
    def _status(self) -> NodeStatus | None:
        return self._page.site.view().statuses.get("recorder")

    def _banner(self) -> None:
        self._box = ui.element("section").classes("w-full rounded-lg px-4 py-2 text-white text-center bg-grey-7")
        self._box.props('role=status aria-live=assertive aria-label="recorder"')
        with self._box:
            self._word = ui.label("").classes("font-black leading-none uppercase").style("font-size: min(11vw, 7.5rem)")
            self._word.props("data-testid=state")
            self._detail = ui.label("").classes("text-2xl").props("data-testid=detail")
        self._color = "grey-7"

    def _buttons(self) -> None:
        self._main = ui.button("Start", icon="fiber_manual_record", color="negative", on_click=self._toggle)
        self._main.classes("w-full text-3xl py-4").props('no-caps aria-label="start or stop, key s"').props(
            "data-testid=toggle"
        )
        with ui.element("div").classes("grid grid-cols-5 gap-1 w-full"):
            for service, text, icon, color, key in BUTTONS:
                button = ui.button(text, icon=icon, color=color, on_click=partial(self._do, service))
                button.props(f'no-caps stack dense aria-label="{text}, key {key}"').props(f"data-testid={service}")
        hint = "keys: s start/stop, d discard, r redo, y n u label; a pedal: Page Down, Page Up"
        ui.label(hint).classes("text-xs opacity-70")

    def _last(self) -> None:
        with ui.card().classes("w-full p-3 gap-1").props('aria-live=polite aria-label="last episode"') as self._card:
            self._verdict = ui.label("no episode yet").classes("text-xl font-bold").props("data-testid=verdict")
            self._why = ui.label("").classes("text-sm line-clamp-4")
            with ui.row():
                self._again = ui.button("Record again", icon="replay", color="warning")
                self._again.on_click(partial(self._do, "redo"))
                self._again.props("no-caps")
                self._label = ui.label("").classes("self-center")

    def _goal(self) -> None:
        with ui.row().classes("items-center w-full gap-3 no-wrap"):
            ui.label("episodes").classes("text-lg")
            self._counter = ui.label("").classes("text-4xl font-black whitespace-nowrap").props("data-testid=counter")
            self._bar = ui.linear_progress(0.0, show_value=False, size="1.2rem").props('aria-label="episodes done"')

    def _words(self) -> None:
        """What the next episodes are of; written into them."""
        self._inputs: dict[str, ui.input] = {}
        with ui.expansion("What is recorded", icon="edit_note", value=True).classes("w-full"):
            with ui.element("div").classes("grid grid-cols-2 gap-x-4 w-full"):
                for name, label in SAID:
                    self._inputs[name] = (
                        ui.input(label).classes("w-full").props("dense").props(f"data-testid=say-{name}")
                    )
            ui.button("Set for the next episodes", icon="done", on_click=self._say).props("no-caps").props(
                "data-testid=say"
            )
        self._known: dict[str, str] = {}

    async def _say(self) -> None:
        values = self._status.values if self._status is not None else {}
        words = {name: box.value or "" for name, box in self._inputs.items()}
        changed = {name: text for name, text in words.items() if text != values.get(name, "")}
        if not changed:
            self._page.tell(Answer(True, "nothing has changed"))
            return
        await self._page.act(lambda: self._page.site.robot().say(changed))

    async def _toggle(self) -> None:
        status = self._status
        running = status is not None and status.values.get("state") in ("recording", "preparing", "waiting")
        await self._page.call("recorder/stop" if running else "recorder/start")

    async def _do(self, service: str) -> None:
        if service == "toggle":
            await self._toggle()
        else:
            await self._page.call(f"recorder/{service}")

    async def _on_key(self, event: KeyEventArguments) -> None:
        name = str(event.key.name)
        if (
            event.action.keydown
            and name in KEYS
            and not any((event.modifiers.ctrl, event.modifiers.alt, event.modifiers.meta))
        ):
            await self._do(KEYS[name])

    def _refresh(self) -> None:
        view = self._page.site.view()
        status = view.statuses.get("recorder")
        self._cameras.show(view)
        shown = banner(status, self._contract.rate_hz)
        self._word.set_text(shown.word)
        self._detail.set_text(shown.detail)
        if shown.color != self._color:
            self._box.classes(add=f"bg-{shown.color}", remove=f"bg-{self._color}")
            self._color = shown.color
        self._main.set_text("Stop" if shown.recording else "Start")
        self._main.props(f"icon={'stop' if shown.recording else 'fiber_manual_record'}")
        self._counter.set_text(counter(status))
        self._bar.set_value(progress(status) or 0.0)
        self._bar.set_visibility(progress(status) is not None)
        self._show_verdict(status)
        self._show_words(status)
        if (sound := self._sounds.heard(status)) is not None:
            self._audio[sound].seek(0)
            self._audio[sound].play()

    def _show_verdict(self, status: NodeStatus | None) -> None:
        found = verdict(status)
        self._again.set_visibility(found is not None and not found.good)
        if found is None:
            return
        self._verdict.set_text("last episode: good" if found.good else "last episode: BAD")
        self._verdict.classes(
            add="text-positive" if found.good else "text-negative",
            remove="text-negative" if found.good else "text-positive",
        )
        self._why.set_text(found.words)
        label = status.values.get("label", "none") if status is not None else "none"
        self._label.set_text("" if label == "none" else f"labelled {label}")

    def _show_words(self, status: NodeStatus | None) -> None:
        """What was set, here or by others, where nobody is writing just now."""
        values = status.values if status is not None else {}
        said = {name: values.get(name, "") for name, _ in SAID}
        for name, text in said.items():
            if text != self._known.get(name) and (self._inputs[name].value or "") == self._known.get(name, ""):
                self._inputs[name].set_value(text)
        self._known = said
