"""The page Train: runs on the left with the form that begins one, the chosen run on the right."""

from __future__ import annotations

from nicegui import run, ui

from vgil_ros.web.pages.frame import Page, frame
from vgil_ros.web.pages.train.form import TrainForm
from vgil_ros.web.pages.train.run_view import RunView, state_color
from vgil_ros.web.parts.way_bar import way_bar
from vgil_ros.web.runs.folder import Run
from vgil_ros.web.runs.training import Trainings
from vgil_ros.web.runs.way import FactFinder
from vgil_ros.web.site import Site

LOOK_S = 1.0


def train_page(site: Site, trainings: Trainings, finder: FactFinder) -> None:
    """Put the page at `/train`."""

    @ui.page("/train", title="Train")
    def page() -> None:
        with frame(site, "/train") as shown:
            way_bar(site, finder, "/train")
            TrainView(shown, trainings)


class TrainView:
    """The page's contents.

    Args:
        page: in which browser.
        trainings: the runs.
    """

    def __init__(self, page: Page, trainings: Trainings) -> None:
        self._trainings = trainings
        self._chosen: str | None = None
        self._rows: list[tuple[str, str, str, str]] = []
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-4 gap-2 px-2 pb-4 w-full items-start"):
            with ui.column().classes("gap-2 w-full lg:col-span-1"):
                with ui.card().classes("w-full gap-2").props("flat bordered"):
                    ui.label("Runs").classes("text-xl font-bold")
                    self._list()
                self._form = TrainForm(page, trainings, self._begun)
            with ui.column().classes("lg:col-span-3 w-full"):
                self._empty = ui.label("no training yet: begin one on the left").classes("text-lg p-4 opacity-70")
                self._view = RunView(page, trainings)
        ui.timer(LOOK_S, self._look, immediate=True)

    def _list(self) -> None:
        @ui.refreshable
        def rows() -> None:
            if not self._rows:
                ui.label(f"none in {self._trainings.runs_dir}").classes("opacity-70 break-all")
            for name, state, color, words in self._rows:
                chosen = name == self._chosen
                item = ui.button(on_click=lambda to=name: self._choose(to)).props(f"data-testid=run-{name}")
                item.props(f'flat no-caps align=left aria-label="run {name}, {state}, {words}"')
                item.classes("w-full rounded-lg" + (" bg-blue-500/15" if chosen else ""))
                with item, ui.row().classes("items-center gap-2 w-full no-wrap"):
                    with ui.column().classes("gap-0 items-start grow"):
                        ui.label(name).classes("font-bold leading-tight")
                        ui.label(words).classes("text-xs leading-tight")
                    ui.badge(state.partition(",")[0], color=color)

        self._refresh_rows = rows.refresh
        rows()

    async def _begun(self, name: str) -> None:
        self._choose(name)
        await self._look()

    def _choose(self, name: str) -> None:
        self._chosen = name
        self._refresh_rows()

    async def _look(self) -> None:
        """Read the folders, in a thread, and show what changed."""
        await self._form.refresh()
        chosen = self._chosen
        runs = await run.io_bound(self._trainings.folders.all)
        if runs is None:  # the page ends
            return
        if chosen == self._chosen and chosen not in [one.name for one in runs]:  # not begun meanwhile
            self._chosen = runs[0].name if runs else None
        rows = [(one.name, one.state.value, state_color(one), _words(one)) for one in runs]
        if rows != self._rows:
            self._rows = rows
            self._refresh_rows()
        self._empty.set_visibility(not runs)
        self._view.show(next((one for one in runs if one.name == self._chosen), None))


def _words(one: Run) -> str:
    best = one.best
    told = "" if best is None else f", best {best[0]} {best[1]:.3g}"
    return f"{one.policy or 'starting'}, step {one.step} of {one.steps or '?'}{told}"
