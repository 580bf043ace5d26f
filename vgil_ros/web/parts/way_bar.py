"""The newcomer's way as a bar of six steps, each with how it stands and a link to its page."""

from __future__ import annotations

from nicegui import run, ui

from vgil_ros.web.runs.way import FactFinder, Mark, way
from vgil_ros.web.site import Site

LOOK_S = 5.0
ICONS = {Mark.DONE: "check_circle", Mark.NOW: "arrow_circle_right", Mark.OPEN: "radio_button_unchecked"}
COLORS = {Mark.DONE: "positive", Mark.NOW: "primary", Mark.OPEN: "grey"}


def way_bar(site: Site, finder: FactFinder, here: str) -> None:
    """Put the bar here.

    Args:
        site: what pages share.
        finder: looks at what is there.
        here: the address of the page that it stands on.
    """

    @ui.refreshable
    def steps(found: list[tuple[str, str, str, Mark]]) -> None:
        for number, (name, words, address, mark) in enumerate(found, 1):
            label = f"step {number}, {name}: {words}; {mark.value}"
            item = ui.button(on_click=lambda to=address: ui.navigate.to(to)).props(
                f'flat no-caps dense aria-label="{label}"'
            )
            item.classes("grow px-2 rounded-lg" + (" bg-blue-500/10" if mark is Mark.NOW else ""))
            with item, ui.row().classes("items-center gap-2 no-wrap w-full"):
                ui.icon(ICONS[mark], color=COLORS[mark]).classes("text-2xl")
                with ui.column().classes("gap-0 items-start"):
                    ui.label(f"{number} {name}").classes("font-bold leading-tight")
                    ui.label(words).classes("text-xs leading-tight")

    async def look() -> None:
        recorder = site.view().statuses.get("recorder")
        wanted = int(recorder.number("episodes_wanted") or 0) if recorder is not None else 0
        facts = await run.io_bound(finder.find, wanted or None)
        if facts is None:  # the page ends
            return
        found = [(step.name, step.words, step.address, step.mark) for step in way(facts)]
        if found != shown:
            shown[:] = found
            steps.refresh(found)

    shown: list[tuple[str, str, str, Mark]] = []
    with (
        ui.element("nav").props('aria-label="from the demo to your own policy"').classes("w-full flex gap-1 px-2 py-1")
    ):
        steps(shown)
    ui.timer(LOOK_S, look, immediate=True)
