"""The banner: what the policy does, readable from three metres."""

from __future__ import annotations

from nicegui import ui

from vgil_ros.web.acting import headline as words
from vgil_ros.web.acting.headline import Headline, headline
from vgil_ros.web.acting.watch import NODE
from vgil_ros.web.link import RobotView
from vgil_ros.web.pages.frame import Page

COLORS = {  # below white letters, in the dark as in the light
    words.QUIET: "#455a64",
    words.READY: "#1565c0",
    words.MOVES: "#2e7d32",
    words.SHOWS: "#6a1b9a",
    words.WARNS: "#b04a00",
    words.STOPPED: "#b71c1c",
}


class Banner:
    """A large word and a line, and which policy it is about."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._shown: Headline | None = None
        self._box = ui.element("div").classes(
            "w-full rounded-lg px-6 py-3 flex items-center gap-x-8 gap-y-1 flex-wrap text-white"
        )
        self._box.props('role=status aria-live=polite aria-label="state of the policy" data-testid=act-banner')
        with self._box:
            self._word = ui.label("").classes("font-black tracking-wide leading-none").style("font-size: 4rem")
            with ui.column().classes("gap-0 min-w-0 flex-1"):
                self._line = ui.label("").classes("text-2xl font-medium break-words")
                self._which = ui.label("").classes("text-base opacity-90 break-words")

    def refresh(self, view: RobotView) -> None:
        """Show what is known."""
        link, status = self._page.site.robot(), view.statuses.get(NODE)
        run = link.policy_run()
        found = headline(status, run)
        if found != self._shown:
            self._shown = found
            self._word.set_text(found.word)
            self._line.set_text(found.line[:300])
            self._box.style(f"background-color: {COLORS[found.tone]}")
        which = ""
        if status is not None and "checkpoint" in status.values:
            values = status.values
            whose = "started by this page" if run is not None and run.alive else "started by a launch file"
            task = f" · task: {values['task']}" if values.get("task") else ""
            which = f"{values.get('policy', '')} · {values['checkpoint'].rpartition('/')[2]}{task} · {whose}"
        self._which.set_text(which)
