"""Joints of a robot as bars: where they are, where their master is, what comes next, and how far the limits are."""

from __future__ import annotations

from html import escape

import numpy as np
from nicegui import ui

from vgil_ros.core.contract import Arm, Contract
from vgil_ros.web.link import ArmView, RobotView
from vgil_ros.web.parts.colors import COMMAND, LIMIT, MASTER, MEASURED, TRACK, legend

NEAR = 0.02  # of the range: so near to a limit is shown as being at it
STALE_S = 0.5
WIDTH, ROW = 1000, 30  # of a bar's drawing


class JointBars:
    """Bars of all joints of a robot, in one drawing for each arm."""

    def __init__(self, contract: Contract) -> None:
        self._drawings: dict[str, ui.html] = {}
        with ui.column().classes("w-full gap-1"):
            for arm in contract.arms:
                with ui.row().classes("items-center gap-3"):
                    ui.label(arm.name).classes("font-bold")
                    legend(((MEASURED, "measured"), (MASTER, "master"), (COMMAND, "coming command")))
                self._drawings[arm.name] = ui.html("", sanitize=False).classes("w-full")
        self._arms = contract.arms

    def show(self, view: RobotView) -> None:
        """Draw them anew."""
        for arm in self._arms:
            self._drawings[arm.name].set_content(bars(arm, view.arms.get(arm.name, ArmView())))


def bars(arm: Arm, view: ArmView) -> str:
    """SVG of an arm's joints, each over its range of limits."""
    rows = []
    silent = view.age_s is None or view.age_s > STALE_S
    for i, joint in enumerate(arm.joints):
        lower, upper = float(arm.limits.lower[i]), float(arm.limits.upper[i])
        values = {name: _value(getattr(view, name), i) for name in ("measured", "master", "command")}
        rows.append(_row(i, joint, lower, upper, values, silent))
    height = ROW * len(arm.joints)
    words = f"joints of {arm.name}" + (", silent" if silent else "")
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="100%" role="img" aria-label="{escape(words)}"'
        f' style="max-height:{height}px">{"".join(rows)}</svg>'
    )


def _value(positions: np.ndarray | None, index: int) -> float | None:
    return None if positions is None or index >= len(positions) else float(positions[index])


def _row(index: int, joint: str, lower: float, upper: float, values: dict[str, float | None], silent: bool) -> str:
    top, left, width = index * ROW, 240, 600

    def at(value: float) -> float:
        return left + width * min(max((value - lower) / (upper - lower), -0.02), 1.02)

    measured = values["measured"]
    near = measured is not None and not lower + NEAR * (upper - lower) < measured < upper - NEAR * (upper - lower)
    text = "-" if measured is None else f"{measured:+.3f}"
    parts = [
        f'<text x="0" y="{top + 21}" font-size="18" fill="currentColor">{escape(joint)}</text>',
        f'<rect x="{left}" y="{top + 10}" width="{width}" height="10" rx="5" fill="{LIMIT if near else TRACK}"'
        f' fill-opacity="{0.5 if near else 1}"/>',
        f'<text x="860" y="{top + 21}" font-size="18" fill="{LIMIT if near else "currentColor"}"'
        f' opacity="{0.45 if silent else 1}">{text}{" limit" if near else ""}</text>',
    ]
    if measured is not None:
        parts.append(
            f'<rect x="{at(measured) - 5:.1f}" y="{top + 4}" width="10" height="22" rx="3" fill="{MEASURED}"'
            f' opacity="{0.4 if silent else 1}"/>'
        )
    for name, color, y in (("master", MASTER, top + 1), ("command", COMMAND, top + 23)):
        value = values[name]
        if value is not None:
            x = at(value)
            parts.append(f'<rect x="{x - 3:.1f}" y="{y}" width="6" height="7" fill="{color}"/>')
    return "".join(parts)
