"""The last minutes as charts: timings, how inferences' times lie, and every safety event by name."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from vgil_ros.web.acting.history import PolicyHistory
from vgil_ros.web.acting.watch import PolicyWatch

AXIS = {"color": "#888", "fontSize": 11}
FAINT_LINE = {"lineStyle": {"color": "rgba(128,128,128,0.25)"}}
LINES = (
    ("latency p50", "latency", "p50_ms", "#1e88e5"),
    ("latency p99", "latency", "p99_ms", "#0d47a1"),
    ("observation age p99", "observation_age", "p99_ms", "#8e24aa"),
    ("jitter p99", "jitter", "p99_ms", "#fb8c00"),
)
MOST_POINTS = 300  # of a line
RED = "#e53935"


class Charts:
    """Three charts of one viewer, out of the history that all share."""

    def __init__(self, watch: PolicyWatch) -> None:
        self._history = watch.history
        self._clock = watch.site.clock
        with ui.element("div").classes("grid w-full gap-3 grid-cols-1 lg:grid-cols-2"):
            self._timings = _chart("timings, ms", "latency, age of observations and jitter over time", _timings())
            self._latencies = _chart("inferences by their latency, ms", "histogram of latencies", _histogram())
        self._events = _chart("safety events", "safety events by name over time", _events(), height="12rem")
        self.counts = ui.label("").classes("text-sm opacity-80").props("data-testid=act-events")

    def refresh(self) -> None:
        """Draw what has come."""
        now = self._clock()
        _draw_timings(self._timings, self._history, now)
        _draw_histogram(self._latencies, self._history)
        _draw_events(self._events, self._history, now)
        totals: dict[str, int] = {}
        for event in self._history.events:
            totals[event.name] = totals.get(event.name, 0) + event.ticks
        words = ", ".join(f"{name} {ticks}" for name, ticks in sorted(totals.items()))
        last = self._history.events[-1] if self._history.events else None
        reason = f"; last: {last.name}: {last.reason}" if last is not None and last.reason else ""
        minutes = f"{self._history.kept_s / 60:g} minutes"
        self.counts.set_text(f"ticks in the last {minutes}: {words or 'none'}{reason}")


def _chart(title: str, label: str, options: dict[str, Any], height: str = "14rem") -> ui.echart:
    with ui.card().classes("w-full p-2 gap-1"):
        ui.label(title).classes("text-sm opacity-80")
        chart = ui.echart(options).classes("w-full").style(f"height: {height}")
        return chart.props(f'role=img aria-label="{label}"')


def _time_axis() -> dict[str, Any]:
    return {
        "type": "value",
        "min": -60,
        "max": 0,
        "axisLabel": {"formatter": "{value} s", **AXIS},
        "splitLine": FAINT_LINE,
    }


def _timings() -> dict[str, Any]:
    return {
        "animation": False,
        "grid": {"left": 45, "right": 15, "top": 50, "bottom": 25},
        "legend": {"textStyle": AXIS, "top": 0, "itemHeight": 8},
        "tooltip": {"trigger": "axis"},
        "xAxis": _time_axis(),
        "yAxis": {"type": "value", "min": 0, "axisLabel": AXIS, "splitLine": FAINT_LINE},
        "series": [
            {
                "name": name,
                "type": "line",
                "showSymbol": False,
                "itemStyle": {"color": color},
                "lineStyle": {"color": color, "width": 2},
                "data": [],
            }
            for name, _, _, color in LINES
        ],
    }


def _histogram() -> dict[str, Any]:
    return {
        "animation": False,
        "grid": {"left": 45, "right": 15, "top": 15, "bottom": 25},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "category", "data": [], "axisLabel": AXIS},
        "yAxis": {"type": "value", "axisLabel": AXIS, "splitLine": FAINT_LINE},
        "series": [{"name": "inferences", "type": "bar", "itemStyle": {"color": "#1e88e5"}, "data": []}],
    }


def _events() -> dict[str, Any]:
    return {
        "animation": False,
        "grid": {"left": 110, "right": 15, "top": 10, "bottom": 25},
        "tooltip": {"trigger": "item", "formatter": "{b}"},
        "xAxis": _time_axis(),
        "yAxis": {"type": "category", "data": ["none"], "axisLabel": AXIS, "splitLine": {"show": True, **FAINT_LINE}},
        "series": [{"type": "scatter", "itemStyle": {"color": RED, "opacity": 0.7}, "data": []}],
    }


def _span(now_s: float, times: list[float]) -> float:
    """Seconds to show: a minute at least, and all that there is."""
    return min(-60.0, float(int(min(times, default=now_s) - now_s) - 1))


def _draw_timings(chart: ui.echart, history: PolicyHistory, now_s: float) -> None:
    points = list(history.timings)
    points = points[:: max(1, len(points) // MOST_POINTS)]
    for series, (_, part, which, _) in zip(chart.options["series"], LINES, strict=True):
        series["data"] = [
            [round(point.at_s - now_s, 1), round(getattr(point, which)[part], 2)]
            for point in points
            if part in getattr(point, which)
        ]
    chart.options["xAxis"]["min"] = _span(now_s, [point.at_s for point in points[:1]])
    chart.update()


def _draw_histogram(chart: ui.echart, history: PolicyHistory) -> None:
    found = history.latencies
    if not found and not chart.options["series"][0]["data"]:
        return
    chart.options["xAxis"]["data"] = [f"{edge:g}" for edge in sorted(found)]
    chart.options["series"][0]["data"] = [found[edge] for edge in sorted(found)]
    chart.update()


def _draw_events(chart: ui.echart, history: PolicyHistory, now_s: float) -> None:
    events = list(history.events)
    names = sorted({event.name for event in events}) or ["none"]
    chart.options["yAxis"]["data"] = names
    chart.options["series"][0]["data"] = [
        {
            "value": [round(event.at_s - now_s, 1), names.index(event.name)],
            "name": f"{event.name}: {event.ticks} ticks {event.reason}".strip(),
            "symbolSize": min(24, 8 + event.ticks),
        }
        for event in events
    ]
    chart.options["xAxis"]["min"] = _span(now_s, [event.at_s for event in events[:1]])
    chart.update()
