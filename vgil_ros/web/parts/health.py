"""Health of the synchronisation: each stream's rate, skew, held and missed ticks, and the skew of the last minutes."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from vgil_ros.core.contract import Contract
from vgil_ros.core.streams import streams_of
from vgil_ros.web.history import History
from vgil_ros.web.link import NodeStatus, RobotView, speaker
from vgil_ros.web.parts.colors import LINES

COLUMNS = (
    ("stream", "stream"),
    ("rate", "Hz"),
    ("p50", "skew p50, ms"),
    ("p99", "skew p99, ms"),
    ("held", "held"),
    ("missed", "missed"),
)


class SyncHealth:
    """A table of the streams, and a chart of their skew.

    Args:
        contract: the robot.
        history: of the skews, by stream's name.
    """

    def __init__(self, contract: Contract, history: History) -> None:
        self._history = history
        self._names = [stream.name for stream in streams_of(contract)]
        columns = [
            {"name": key, "label": words, "field": key, "align": "left" if key == "stream" else "right"}
            for key, words in COLUMNS
        ]
        self._table = ui.table(rows=[], columns=columns, row_key="stream").classes("w-full")
        self._table.props('dense flat hide-bottom aria-label="streams"').props(':pagination="{rowsPerPage: 0}"')
        self._chart = ui.echart(_chart()).classes("w-full h-40").props('role=img aria-label="skew, last minutes"')

    def show(self, view: RobotView, now_s: float) -> None:
        """Write them anew."""
        status = speaker(view)
        self._table.rows = [self._row(name, status) for name in self._names]
        self._chart.options["series"] = [
            {
                "type": "line",
                "name": name,
                "showSymbol": False,
                "data": [[round(at, 1), value] for at, value in self._history.series(name, now_s)],
                "lineStyle": {"width": 1.5},
                "color": LINES[i % len(LINES)],
            }
            for i, name in enumerate(self._names)
        ]
        self._chart.update()

    def _row(self, name: str, status: NodeStatus | None) -> dict[str, Any]:
        def text(key: str, form: str) -> str:
            value = status.number(f"{key}_{name}") if status is not None else None
            return "-" if value is None else format(value, form)

        counts = {key: text(key, ".0f") for key in ("held", "missed")}
        counts = {key: "0" if value == "-" and status is not None else value for key, value in counts.items()}
        return {
            "stream": name,
            "rate": text("rate_hz", ".0f"),
            "p50": text("skew_p50_ms", ".1f"),
            "p99": text("skew_p99_ms", ".1f"),
            **counts,
        }


def _chart() -> dict[str, Any]:
    return {
        "animation": False,
        "grid": {"left": 45, "right": 10, "top": 24, "bottom": 24},
        "title": {"text": "skew p99, ms", "textStyle": {"fontSize": 12, "color": "#78909c"}, "left": 4, "top": 2},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "value", "max": 0, "min": -180, "axisLabel": {"formatter": "{value} s", "color": "#78909c"}},
        "yAxis": {"type": "value", "min": 0, "axisLabel": {"color": "#78909c"}},
        "series": [],
    }
