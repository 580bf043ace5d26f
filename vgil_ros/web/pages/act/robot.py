"""The robot on the page: its cameras, its arms in 3-D with the coming paths of their grippers, and its joints."""

from __future__ import annotations

from typing import Any

import numpy as np
from nicegui import ui

from vgil_ros.web.acting.watch import TRAIL_S, PolicyWatch
from vgil_ros.web.link import RobotView
from vgil_ros.web.pages.act.charts import AXIS, FAINT_LINE
from vgil_ros.web.pages.frame import Page
from vgil_ros.web.parts.cameras import CameraGrid
from vgil_ros.web.parts.colors import COMMAND, MEASURED, legend
from vgil_ros.web.parts.robot_scene import RobotScene

COLUMNS, ROW_PX = 2, 92
EVERY = 2  # of the looks at the robot, one draws paths and plots
MOST_POINTS = 40  # of a coming curve


class RobotPart:
    """Cameras, 3-D and joint plots of one viewer."""

    def __init__(self, page: Page, watch: PolicyWatch) -> None:
        self._watch, self._turn = watch, 0
        contract = page.site.robot().contract
        self._period_s = 1.0 / contract.rate_hz
        self._names = [f"{arm.name} {joint}" for arm in contract.arms for joint in arm.joints]
        self._arms = {arm.name: len(arm.joints) for arm in contract.arms}
        self._cameras = CameraGrid(contract, page.site.hub, page.visitor.session)
        with ui.element("div").classes("grid w-full gap-3 grid-cols-1 lg:grid-cols-2"):
            with ui.card().classes("w-full p-2 gap-1"):
                ui.label("where it is, and where it goes").classes("text-sm opacity-80")
                self.scene = RobotScene(contract, height="22rem")
                self.paths = ui.label("").classes("text-sm").props("data-testid=act-paths")
            with ui.card().classes("w-full p-2 gap-1"):
                legend(((MEASURED, "joints, measured"), (COMMAND, "coming")))
                self._plots = ui.echart(self._grids()).classes("w-full")
                rows = -(-len(self._names) // COLUMNS)
                self._plots.style(f"height: {rows * ROW_PX + 20}px")
                self._plots.props('role=img aria-label="joints: measured against the coming commands"')

    def _grids(self) -> dict[str, Any]:
        """One small plot a joint, all in one chart."""
        rows = -(-len(self._names) // COLUMNS)
        height = 100.0 / rows
        options: dict[str, Any] = {"animation": False, "grid": [], "xAxis": [], "yAxis": [], "series": [], "title": []}
        for i, name in enumerate(self._names):
            row, column = divmod(i, COLUMNS)
            left, top = 9 + 50 * column, row * height
            last = row == rows - 1 or i >= len(self._names) - COLUMNS
            options["grid"].append(
                {"left": f"{left}%", "width": "39%", "top": f"{top + 0.26 * height}%", "height": f"{0.52 * height}%"}
            )
            options["title"].append(
                {"text": name, "left": f"{left}%", "top": f"{top}%", "textStyle": {"fontSize": 11, "color": "#888"}}
            )
            options["xAxis"].append(
                {
                    "gridIndex": i,
                    "type": "value",
                    "min": -TRAIL_S,
                    "max": 1.0,
                    "axisLabel": {"show": last, "formatter": "{value} s", **AXIS},
                    "splitLine": FAINT_LINE,
                }
            )
            options["yAxis"].append(
                {
                    "gridIndex": i,
                    "type": "value",
                    "scale": True,
                    "splitNumber": 2,
                    "axisLabel": AXIS,
                    "axisLine": {"onZero": False},
                    "splitLine": FAINT_LINE,
                }
            )
            for color in (MEASURED, COMMAND):
                options["series"].append(
                    {
                        "type": "line",
                        "xAxisIndex": i,
                        "yAxisIndex": i,
                        "showSymbol": False,
                        "lineStyle": {"color": color, "width": 2},
                        "data": [],
                    }
                )
        return options

    def refresh(self, view: RobotView) -> None:
        """Show the robot as it is now."""
        for name, arm in view.arms.items():
            self.scene.pose(name, arm.measured, fresh=arm.age_s is not None and arm.age_s < 1.0)
        self._cameras.show(view)
        self._turn += 1
        if self._turn % EVERY:
            return
        self._draw_paths(view.chunk)
        self._draw_plots(view.chunk)

    def _draw_paths(self, chunk: np.ndarray | None) -> None:
        first = 0
        for name, width in self._arms.items():
            self.scene.path(name, chunk[:, first : first + width] if chunk is not None else [])
            first += width
        words = "nothing is coming" if chunk is None else f"{len(chunk)} actions are coming"
        seconds = "" if chunk is None else f", {len(chunk) * self._period_s:.1f} s"
        self.paths.set_text(words + seconds)

    def _draw_plots(self, chunk: np.ndarray | None) -> None:
        now, trail = self._watch.site.clock(), list(self._watch.trail)
        times = [round(point.at_s - now, 2) for point in trail]
        series = self._plots.options["series"]
        coming: np.ndarray = np.empty((0, len(self._names))) if chunk is None else chunk
        step = max(1, -(-len(coming) // MOST_POINTS))
        ahead = [round(k * self._period_s, 3) for k in range(0, len(coming), step)]
        for i in range(len(self._names)):
            values = [round(float(point.measured[i]), 4) for point in trail]
            series[2 * i]["data"] = [[t, v] for t, v in zip(times, values, strict=True) if np.isfinite(v)]
            series[2 * i + 1]["data"] = [[t, round(float(v), 4)] for t, v in zip(ahead, coming[::step, i], strict=True)]
        furthest = max(1.0, round(len(coming) * self._period_s + 0.05, 1))
        for axis in self._plots.options["xAxis"]:
            axis["max"] = furthest
        self._plots.update()
