"""One run: its state, figures, curves, what it printed, its evaluation; and stop, go on, evaluate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nicegui import run, ui

from vgil_ros.training.run_log import time_words
from vgil_ros.web.link import Answer
from vgil_ros.web.pages.frame import Page
from vgil_ros.web.runs.folder import GOING, Run, State, downsampled
from vgil_ros.web.runs.training import Trainings

STATE_COLORS = {State.DONE: "positive", State.FAILED: "negative", State.STOPPED: "grey-7"}
CURVES = (  # title, (kind, key, what it is called), whether the axis is logarithmic
    ("loss", (("train", "loss", "training"), ("validation", "loss", "validation")), True),
    ("action error of the validation episodes", (("validation", "action_error", "action error"),), False),
    ("learning rate", (("train", "lr", "policy"), ("train", "lr_backbone", "backbone")), False),
)
COLORS = ["#1e88e5", "#fb8c00", "#43a047"]
GREY = "#90a4ae"


def state_color(run_: Run) -> str:
    """Of a badge."""
    return STATE_COLORS.get(run_.state, "primary")


class RunView:
    """The card of a run.

    Args:
        page: whose it is.
        trainings: does what its buttons ask for.
    """

    def __init__(self, page: Page, trainings: Trainings) -> None:
        self._page, self._trainings = page, trainings
        self._run: Run | None = None
        with ui.card().classes("w-full gap-3").props("flat bordered") as self._card:
            with ui.row().classes("items-center gap-3 w-full"):
                self._name = ui.label().classes("text-xl font-bold").props("data-testid=run-title")
                self._state = ui.badge().classes("text-sm px-2 py-1").props("data-testid=run-state")
                ui.space()
                self._buttons()
            self._bar = ui.linear_progress(value=0.0, show_value=False, size="10px").props("rounded")
            self._figures()
            self._estimate = ui.label().classes("text-sm opacity-80")
            self._draw_curves()
            self._rollouts()
            with ui.expansion("what it printed", icon="terminal").classes("w-full"):
                self._said = ui.label().classes("font-mono text-xs whitespace-pre-wrap break-all")
            self._fault = ui.label().classes("text-negative whitespace-pre-line").props("role=alert")

    def _buttons(self) -> None:
        self._stop = ui.button("Stop and save", icon="stop", on_click=self._do_stop, color="negative").props(
            "data-testid=run-stop"
        )
        self._go_on = ui.button("Go on", icon="play_arrow", on_click=self._do_resume).props("data-testid=run-resume")
        self._steps = ui.number("steps in all", min=1, precision=0).props("dense outlined").classes("w-32")
        self._steps.props("data-testid=run-steps")
        for button in (self._stop, self._go_on):
            button.props("no-caps unelevated")

    def _figures(self) -> None:
        self._values: dict[str, ui.label] = {}
        with ui.element("div").classes("grid grid-cols-3 lg:grid-cols-6 gap-3 w-full"):
            for key in ("step", "loss", "best", "time left", "samples/s", "waits for data"):
                with ui.column().classes("gap-0"):
                    self._values[key] = (
                        ui.label("-").classes("text-xl font-bold leading-tight").props(f'data-testid="figure-{key}"')
                    )
                    ui.label(key).classes("text-xs opacity-70")

    def _draw_curves(self) -> None:
        with ui.element("div").classes("grid grid-cols-1 xl:grid-cols-3 gap-2 w-full"):
            self._charts = [
                ui.echart(_options(title, logarithmic)).classes("w-full h-56").props(f'role=img aria-label="{title}"')
                for title, _, logarithmic in CURVES
            ]
        self._drawn: list[Any] = [None] * len(CURVES)

    def _rollouts(self) -> None:
        with ui.row().classes("items-center gap-3 w-full"):
            ui.label("in unseen simulated scenes").classes("font-bold")
            self._task = ui.input("task", value="pick_place").props("dense outlined").classes("w-36")
            self._episodes = ui.number("rollouts", value=10, min=1, max=1000, precision=0)
            self._episodes.props("dense outlined").classes("w-24")
            self._judge = ui.button("Evaluate", icon="fact_check", on_click=self._do_evaluate)
            self._judge.props("no-caps outline").props("data-testid=run-evaluate")
            self._act = ui.button("Run it: Act", icon="smart_toy", on_click=lambda: ui.navigate.to("/act"))
            self._act.props("no-caps flat")
            self._verdict = ui.label().props("data-testid=run-verdict")
        self._sheet = ui.column().classes("w-full")
        self._sheet_of: Any = None

    # what the buttons do

    async def _do_stop(self) -> None:
        if self._run is not None:
            words = f"'{self._run.name}' stops after this step, and saves it"
            await self._act_on(partial(self._trainings.stop, self._run.name), words)

    async def _do_resume(self) -> None:
        if self._run is not None:
            steps = None if self._steps.value is None else int(self._steps.value)
            await self._act_on(partial(self._trainings.resume, self._run.name, steps), f"'{self._run.name}' goes on")

    async def _do_evaluate(self) -> None:
        if self._run is not None:
            episodes = int(self._episodes.value or 0)
            what = partial(self._trainings.evaluate, self._run.name, str(self._task.value or ""), episodes)
            await self._act_on(what, f"'{self._run.name}' is being evaluated")

    async def _act_on(self, what: Callable[[], None], words: str) -> None:
        async def act() -> Answer:
            await run.io_bound(what)
            return Answer(True, words)

        await self._page.act(act)

    # what is shown

    def show(self, shown: Run | None) -> None:
        """Show a run as it stands now; None: none is chosen."""
        self._card.set_visibility(shown is not None)
        if shown is None:
            return
        if self._run is None or self._run.folder != shown.folder:
            self._steps.value = shown.steps or None
            self._drawn = [None] * len(CURVES)
        self._run = shown
        going = shown.state in GOING
        self._name.set_text(f"{shown.name}  {shown.policy}")
        self._state.set_text(shown.state.value)
        self._state.props(f"color={state_color(shown)}")
        self._bar.set_value(shown.step / shown.steps if shown.steps else 0.0)
        self._stop.set_visibility(shown.state in (State.STARTING, State.RUNNING))
        self._go_on.set_visibility(not going and shown.can_resume)
        self._steps.set_visibility(not going and shown.can_resume)
        self._estimate.set_text(shown.estimate)
        self._estimate.set_visibility(bool(shown.estimate))
        self._said.set_text("\n".join(shown.words))
        self._fault.set_text(_fault(shown))
        self._show_figures(shown)
        self._show_curves(shown)
        self._show_rollouts(shown)

    def _show_figures(self, shown: Run) -> None:
        loss, wait, pace, left = (
            shown.last("train", "loss"),
            shown.last("train", "data_wait"),
            shown.samples_per_s,
            shown.seconds_left,
        )
        best = shown.best
        texts = {
            "step": f"{shown.step} of {shown.steps or '?'}",
            "loss": "-" if loss is None else f"{loss:.4g}",
            "best": "-" if best is None else f"{best[1]:.4g}",
            "time left": "-" if left is None else time_words(left),
            "samples/s": "-" if pace is None else f"{pace:.3g}",
            "waits for data": "-" if wait is None else f"{wait:.0%}",
        }
        for key, text in texts.items():
            self._values[key].set_text(text)

    def _show_curves(self, shown: Run) -> None:
        for index, (chart, (_, lines, logarithmic)) in enumerate(zip(self._charts, CURVES, strict=True)):
            data = [downsampled(shown.series(kind, key)) for kind, key, _ in lines]
            if data == self._drawn[index]:
                continue
            self._drawn[index] = data
            series = []
            for (_, _, name), points, color in zip(lines, data, COLORS, strict=False):
                kept = [list(point) for point in points if point[1] > 0 or not logarithmic]
                symbol = "circle" if len(kept) < 30 else "none"
                series.append(
                    {"type": "line", "name": name, "data": kept, "symbol": symbol, "symbolSize": 5, "color": color}
                )
            chart.options["series"] = series
            chart.update()

    def _show_rollouts(self, shown: Run) -> None:
        self._judge.set_enabled(shown.checkpoint is not None and not shown.evaluating)
        self._act.set_visibility(shown.checkpoint is not None)
        if shown.evaluating:
            self._verdict.set_text(
                "is being evaluated: " + (shown.evaluation_words[-1] if shown.evaluation_words else "")
            )
        elif shown.reports:
            report = list(shown.reports.values())[-1]
            low, high = report.success_interval_95
            self._verdict.set_text(
                f"{report.successes} of {report.episodes} succeeded (95 % interval {low:.0%} to {high:.0%}),"
                f" {report.task}"
            )
        else:
            errors = [line for line in shown.evaluation_words if line.startswith("error:")]
            self._verdict.set_text(errors[-1] if errors else "not evaluated yet")
        mark = [(path, path.stat().st_mtime) for path in shown.images] if not shown.evaluating else None
        if mark is not None and mark != self._sheet_of:
            self._sheet_of = mark
            self._sheet.clear()
            with self._sheet:
                for path, _ in mark:
                    ui.image(path).classes("w-full rounded").props('alt="images of the rollouts, a row each"')


def _fault(shown: Run) -> str:
    """Why a run failed: what it printed last, from the error on."""
    if shown.state is not State.FAILED:
        return ""
    at = next((i for i, line in enumerate(shown.words) if line.startswith("error:")), max(0, len(shown.words) - 3))
    return "\n".join(shown.words[at:])


def _options(title: str, logarithmic: bool) -> dict[str, Any]:
    axis = {"axisLabel": {"color": GREY}, "splitLine": {"lineStyle": {"color": GREY, "opacity": 0.25}}}
    return {
        "title": {"text": title, "left": 0, "top": 0, "textStyle": {"fontSize": 13, "color": GREY}},
        "grid": {"left": 56, "right": 16, "top": 32, "bottom": 52},
        "legend": {"right": 8, "bottom": 0, "textStyle": {"color": GREY}},
        "tooltip": {"trigger": "axis"},
        "animation": False,
        "xAxis": {"type": "value", "name": "", "min": "dataMin", "max": "dataMax", **axis},
        "yAxis": {"type": "log" if logarithmic else "value", "scale": True, **axis},
        "series": [],
    }
