"""Curves of an episode's joints, each with its action, and a cursor; as many points as can be seen, peaks kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nicegui import ui
from nicegui.events import MouseEventArguments

from vgil_ros.web.episodes.track import Track, thinned
from vgil_ros.web.parts.colors import MEASURED

HIGH, LEFT, RIGHT, POINTS = 96, 56, 12, 600  # px of one joint's plot and of its margins; points of a curve
ACTION, EFFORT, TEXT = "#fb8c00", "#00897b", "#78909c"
FIRST_JOINTS = 7  # that are shown at first: one arm
CLOSER = 3  # times that a zoom shows
POSITION = "position and action"


class Plots:
    """The curves in a page.

    Args:
        track: the episode.
        jump: goes to a row.
        here: tells the row that is shown.
    """

    def __init__(self, track: Track, jump: Callable[[int], None], here: Callable[[], int]) -> None:
        self._track, self._jump, self._here = track, jump, here
        self._span = (0, max(1, track.rows - 1))
        kinds = [POSITION, *(["effort"] if track.effort is not None else [])]
        with ui.row().classes("w-full items-center gap-3"):
            chosen = list(track.joints[:FIRST_JOINTS])
            self._chosen = ui.select(list(track.joints), multiple=True, value=chosen, label="joints")
            self._chosen.classes("min-w-64 max-w-[60%]").props('outlined dense use-chips aria-label="joints to plot"')
            self._kind = ui.toggle(kinds, value=kinds[0]).props("no-caps dense")
            self._kind.set_visibility(len(kinds) > 1)
            ui.space()
            for icon, do, says in (
                ("zoom_in", lambda: self._zoom(1 / CLOSER), "look closer at the cursor"),
                ("zoom_out", lambda: self._zoom(CLOSER), "show more"),
                ("zoom_out_map", self._whole, "show all"),
            ):
                ui.button(icon=icon, on_click=do).props(f'flat round dense aria-label="{says}"').tooltip(says)
        self._area = ui.element("div").classes("w-full flex no-wrap")
        self._chosen.on_value_change(self._draw)
        self._kind.on_value_change(self._draw)
        self._draw()

    def _columns(self) -> list[int]:
        return [self._track.joints.index(name) for name in self._chosen.value or ()]

    def _curves(self) -> list[tuple[str, np.ndarray, str]]:
        track = self._track
        if self._kind.value != POSITION and track.effort is not None:
            return [("effort", track.effort, EFFORT)]
        return [("action", track.action, ACTION), ("measured", track.qpos, MEASURED)]

    def _draw(self) -> None:
        columns = self._columns()
        high = HIGH * len(columns) + 20
        self._area.clear()
        self._values: list[ui.label] = []
        with self._area:
            with ui.element("div").classes("relative grow").style(f"height: {high}px"):
                self._chart = ui.echart(self._options()).classes("absolute inset-0").style(f"height: {high}px")
                self._chart.props('role=img aria-label="curves of the joints"')
                self._cursor = ui.element("div").classes("absolute top-0 bottom-0 pointer-events-none")
                self._cursor.style("width: 2px; background: #d81b60")
                over = ui.interactive_image(size=(1000, high), on_mouse=self._clicked, events=["click"])
                over.classes("absolute cursor-crosshair").style(
                    f"left: {LEFT}px; right: {RIGHT}px; top: 0; bottom: 0; width: auto; height: auto"
                )
            with ui.element("div").classes("relative w-40 shrink-0").style(f"height: {high}px"):
                for i in range(len(columns)):
                    label = ui.label().classes("absolute text-sm font-mono whitespace-pre")
                    self._values.append(label.style(f"top: {i * HIGH + 22}px"))
        self.cursor(self._here())

    def _options(self) -> dict[str, Any]:
        columns, (first, last) = self._columns(), self._span
        options: dict[str, Any] = {
            "animation": False,
            **{key: [] for key in ("grid", "xAxis", "yAxis", "series", "title")},
            "legend": {"show": False},
        }
        label = {"color": TEXT, "fontSize": 11}
        for i, column in enumerate(columns):
            end = i == len(columns) - 1
            options["title"].append(
                {
                    "text": self._track.joints[column],
                    "left": LEFT,
                    "top": i * HIGH,
                    "textStyle": {**label, "fontSize": 12},
                }
            )
            options["grid"].append({"left": LEFT, "right": RIGHT, "top": i * HIGH + 18, "height": HIGH - 28})
            options["xAxis"].append(
                {
                    "gridIndex": i,
                    "type": "value",
                    "min": first,
                    "max": last,
                    "axisLabel": {**label, "show": end},
                    "splitLine": {"show": False},
                    "axisLine": {"onZero": False, "lineStyle": {"color": TEXT, "opacity": 0.5}},
                    "axisTick": {"show": False},
                }
            )
            line = {"lineStyle": {"color": TEXT, "opacity": 0.25}}
            options["yAxis"].append(
                {"gridIndex": i, "scale": True, "splitNumber": 2, "axisLabel": label, "splitLine": line}
            )
            for name, values, color in self._curves():
                if column < values.shape[1]:
                    options["series"].append(_curve(name, thinned(values[:, column], first, last, POINTS), color, i))
        return options

    def cursor(self, row: int) -> None:
        """Move the cursor to a row, and tell the values there."""
        first, last = self._span
        if not first <= row <= last:
            width = last - first
            self._span = _within(row - width // 2, width, self._track.rows)
            self._draw()
            return
        place = (row - first) / max(1, last - first)
        self._cursor.style(f"left: calc({LEFT}px + (100% - {LEFT + RIGHT}px) * {place:.5f})")
        for label, column in zip(self._values, self._columns(), strict=True):
            told = [(name, values[row, column]) for name, values, _ in self._curves() if column < values.shape[1]]
            label.set_text("\n".join(f"{name:9s}{value:8.3f}" for name, value in told[::-1]))

    def _zoom(self, times: float) -> None:
        first, last = self._span
        width = int(min(max(20, (last - first) * times), max(1, self._track.rows - 1)))
        self._span = _within(self._here() - width // 2, width, self._track.rows)
        self._draw()

    def _whole(self) -> None:
        self._span = (0, max(1, self._track.rows - 1))
        self._draw()

    def _clicked(self, event: MouseEventArguments) -> None:
        first, last = self._span
        self._jump(round(first + event.image_x / 1000 * (last - first)))


def _curve(name: str, points: list[list[float]], color: str, grid: int) -> dict[str, Any]:
    return {
        "type": "line",
        "name": name,
        "data": points,
        "xAxisIndex": grid,
        "yAxisIndex": grid,
        "showSymbol": False,
        "silent": True,
        "lineStyle": {"width": 1.6, "color": color},
        "itemStyle": {"color": color},
    }


def _within(first: int, width: int, rows: int) -> tuple[int, int]:
    """A span of rows of that width, moved until it lies within an episode."""
    first = min(max(0, first), max(0, rows - 1 - width))
    return first, min(first + width, max(1, rows - 1))
