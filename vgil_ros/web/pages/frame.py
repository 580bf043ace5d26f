"""The frame around every page: navigation, who has control, dark or light, and the e-stop, always on screen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nicegui import Client, background_tasks, ui

from vgil_ros.web.access.control import LOST_S
from vgil_ros.web.access.visitors import Visitor
from vgil_ros.web.link import Answer
from vgil_ros.web.parts.colors import ON_DARK, PALETTE
from vgil_ros.web.parts.pace import Pace
from vgil_ros.web.site import Site

PAGES = (  # address, name, icon
    ("/", "Live", "visibility"),
    ("/record", "Record", "fiber_manual_record"),
    ("/episodes", "Episodes", "video_library"),
    ("/act", "Act", "smart_toy"),
    ("/teach", "Teach", "school"),
    ("/train", "Train", "model_training"),
)
ESTOP_KEY = "Escape"
ALIVE_S = 0.5  # between two questions to the browser whether it is there
REFUSAL_MS = 20_000  # that the reason of a refusal stays on screen
HERE = "(window.vgilHeard = Date.now(), 1)"  # the question
# what the browser itself says when no question came for a while: its server cannot tell it
CUT_OFF = """<div id="cut-off" role="alert" hidden style="position:fixed;inset:auto 0 0 0;z-index:9999;padding:.6em 1em;
background:#b71c1c;color:#fff;font:bold 1.3rem sans-serif;text-align:center">Cut off from the robot's computer: what is
pressed here does not arrive, the e-stop neither. Use the robot's own.</div><script>window.vgilHeard = Date.now();
setInterval(() => { document.getElementById("cut-off").hidden = Date.now() - vgilHeard < 3000; }, 500);</script>"""
ASKED_AT_ONCE = 8  # questions without an answer yet


@dataclass(frozen=True)
class Page:
    """A page in somebody's browser.

    Attributes:
        site: what all pages share.
        visitor: whose it is.
        client: NiceGUI's end of it.
        pace: how far the browser is behind.
    """

    site: Site
    visitor: Visitor
    client: Client
    pace: Pace

    def every(self, seconds: float, show: Callable[[], Any]) -> None:
        """Have something shown again and again, as often as the browser can draw it."""
        shown_s = self.site.clock()

        def turn() -> Any:
            nonlocal shown_s
            now_s = self.site.clock()
            if not self.client.has_socket_connection or not self.pace.may_show(now_s, shown_s):
                return None
            shown_s = now_s
            return show()  # what is to be awaited, the timer awaits

        ui.timer(seconds, turn)

    async def act(self, what: Callable[[], Awaitable[Answer]]) -> Answer:
        """Have something done, if this visitor may, and show the answer.

        A browser that was cut off tells what was pressed meanwhile when its connection is back: the robot does not
        begin to move then.
        """
        if (silent := self.pace.cut_off(self.site.clock())) is not None:
            answer = Answer(False, f"this page was cut off for {silent:.0f} s: nothing is done; press again if needed")
        else:
            answer = await self.site.act(self.visitor, what)
        self.tell(answer)
        return answer

    async def call(self, service: str) -> Answer:
        """Call one of the robot's services, if this visitor may, and show the answer."""
        return await self.act(lambda: self.site.robot().call(service))

    async def estop(self) -> None:
        """Stop the robot; anybody may."""
        self.tell(await self.site.estop())

    def tell(self, answer: Answer) -> None:
        """Show an answer for a while; what was refused, until it is closed or has been there long enough to read."""
        with self.client:
            words = answer.message or "done"
            if answer.ok:
                ui.notify(words, type="positive", multi_line=True)
            else:
                ui.notify(words, type="negative", multi_line=True, timeout=REFUSAL_MS, close_button="Close")


@contextmanager
def frame(site: Site, address: str) -> Iterator[Page]:
    """A page's frame; what is made within it is the page."""
    client = ui.context.client
    request = client.request
    assert request is not None
    page = Page(site, request.scope["state"]["visitor"], client, Pace(site.clock()))
    dark = ui.dark_mode(None)
    ui.colors(**PALETTE)
    ui.add_css(ON_DARK)
    ui.add_body_html(CUT_OFF)
    with ui.header().classes("items-center gap-2 py-1 px-3 flex-wrap").props("role=banner"):
        with ui.element("nav").props('aria-label="pages"').classes("flex gap-1"):
            for path, name, icon in PAGES:
                here = path == address
                link = ui.button(name, icon=icon, on_click=lambda p=path: ui.navigate.to(p)).props("flat dense no-caps")
                link.classes("text-white" + (" underline font-bold" if here else ""))
                if here:
                    link.props("aria-current=page")
        ui.space()
        _control(page)
        _dark_switch(dark)
        stop = ui.button("E-STOP", icon="dangerous", color="negative", on_click=page.estop)
        stop.classes("text-lg font-black px-6").props(f'push no-caps aria-label="emergency stop, key {ESTOP_KEY}"')
        stop.props("data-testid=estop").tooltip(f"hold everything at once (key {ESTOP_KEY})")
    ui.keyboard(lambda event: _on_key(page, event), ignore=[], repeating=False)
    client.on_connect(lambda: page.pace.joined(site.clock()))
    background_tasks.create(_alive(page), name="alive")
    with ui.element("main").classes("w-full"):
        yield page


def _on_key(page: Page, event: object) -> Awaitable[None] | None:
    key = getattr(event, "key", None)
    if getattr(getattr(event, "action", None), "keydown", False) and key is not None and key.name == ESTOP_KEY:
        return page.estop()
    return None


def _dark_switch(dark: ui.dark_mode) -> None:
    def turn() -> None:
        dark.value = {None: True, True: False, False: None}[dark.value]
        button.props(f"icon={icons[dark.value]}")

    icons = {None: "brightness_auto", True: "dark_mode", False: "light_mode"}
    button = ui.button(icon=icons[None], on_click=turn).props(
        'flat round dense aria-label="dark, light or as the system"'
    )
    button.classes("text-white")


def _control(page: Page) -> None:
    """Who has control, and a button that takes it or gives it up."""
    site = page.site

    def turn() -> None:
        now = site.clock()
        holder = site.control.holder(now)
        if holder is not None and holder.session == page.visitor.session:
            site.control.give(page.visitor)
        elif (why := site.control.take(page.visitor, now)) is not None:
            page.tell(Answer(False, why))
        refresh()

    def refresh() -> None:
        holder = site.control.holder(site.clock())
        mine = holder is not None and holder.session == page.visitor.session
        words = "you have control" if mine else f"{holder.name} has control" if holder else "nobody has control"
        button.set_text(words)
        button.props("color=positive" if mine else "color=grey-8")

    button = ui.button("", icon="front_hand", on_click=turn).props('dense no-caps aria-label="take or give up control"')
    button.props("data-testid=control")
    refresh()
    ui.timer(0.5, refresh)


async def _alive(page: Page) -> None:
    """Ask the browser again and again whether it is there: who is silent loses control.

    A slow browser answers late, and is there all the same: questions do not wait for each other's answers.
    """
    client, asked = page.client, set[asyncio.Task[None]]()
    while not client.is_deleted:  # a browser that lost its connection may come back
        if client.has_socket_connection and page.pace.open < ASKED_AT_ONCE:
            question = asyncio.create_task(_ask(page))
            asked.add(question)
            question.add_done_callback(asked.discard)
        await asyncio.sleep(ALIVE_S)


async def _ask(page: Page) -> None:
    number = page.pace.asked(page.site.clock())
    try:
        with contextlib.suppress(TimeoutError, RuntimeError):
            await page.client.run_javascript(HERE, timeout=LOST_S)
            page.pace.answered(number)
            page.site.control.heard(page.visitor, page.site.clock())
    finally:
        page.pace.gave_up(number)
