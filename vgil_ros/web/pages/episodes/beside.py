"""What stands beside an episode's cameras: what was found, how each stream came to the row, and the robot in 3-D."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from nicegui import ui

from vgil_ros.core.errors import VgilError
from vgil_ros.web.episodes.track import Track
from vgil_ros.web.episodes.verdicts import Verdict
from vgil_ros.web.pages.episodes.words import SEVERITY_COLORS, SEVERITY_ICONS
from vgil_ros.web.parts.robot_scene import RobotScene

FLAG_COLORS = {"held": "negative", "latest": "warning"}
AHEAD_S = 1.0  # of the master's way that is drawn


class Findings:
    """What `vgil episodes check` says, each with a way to its rows."""

    def __init__(self, jump: Callable[[int], None]) -> None:
        self._jump = jump
        ui.label("Check").classes("text-lg font-medium")
        self._area = ui.column().classes("w-full gap-1").props("data-testid=findings")
        with self._area:
            ui.label("checking… it waits while an episode is being recorded").props("role=status")

    def show(self, verdict: Verdict) -> None:
        """Show a verdict."""
        self._area.clear()
        with self._area:
            if not verdict.findings:
                ui.label("good: nothing was found").classes("text-base text-positive")
            for one in verdict.findings:
                with ui.row().classes("w-full items-start no-wrap gap-2"):
                    icon = ui.icon(SEVERITY_ICONS[one.severity], size="sm")
                    icon.style(f"color: {SEVERITY_COLORS[one.severity]}").props(f'role=img aria-label="{one.severity}"')
                    ui.label(f"{one.stream}: {one.message}").classes("text-sm grow").style("overflow-wrap: anywhere")
                    if one.rows:
                        first = one.rows[0][0]
                        go = ui.button(f"row {first}", on_click=lambda row=first: self._jump(row))
                        go.props(f'dense flat no-caps aria-label="go to row {first}: {one.check}"')


class Flags:
    """How each stream's value came to the row that is shown."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._badges: list[tuple[ui.badge, ui.label]] = []
        if track.flags is None:
            ui.label("this file does not tell how its streams came to each row").classes("text-sm")
            return
        ui.label("This row").classes("text-lg font-medium")
        with ui.element("div").classes("grid grid-cols-[1fr_auto_auto] gap-x-3 gap-y-0 w-full text-sm items-center"):
            for stream in track.streams:
                ui.label(stream)
                self._badges.append((ui.badge(""), ui.label().classes("tabular-nums text-right w-20")))
        self._dropped = ui.label().classes("text-sm text-negative")

    def show(self, row: int) -> None:
        """Show a row's."""
        told = self._track.flag_words(row)
        if not told or not self._badges:
            return
        for (badge, skew), (_, word, ms) in zip(self._badges, told, strict=True):
            badge.set_text(word)
            badge.props(f"color={FLAG_COLORS.get(word, 'blue-grey-7')}")
            skew.set_text("" if ms is None else f"{ms:+.1f} ms")
        missing = int(self._track.missing[row])
        self._dropped.set_text(f"{missing} ticks before it were dropped" if missing else "")


class Pose:
    """The robot as it stood, and the way that its master went in the second after."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._scene: RobotScene | None = None
        self._pathed = -1
        if track.contract is None or track.layout is None:
            return
        try:
            scene = RobotScene(track.contract, "17rem")
        except VgilError as error:
            ui.label(str(error)).classes("text-sm")
            return
        if scene.empty:
            scene.scene.delete()
            return
        self._scene = scene
        ui.label("dots: where the master goes in the next second").classes("text-xs")

    def show(self, row: int, *, still: bool) -> None:
        """Show a row; `still`: nothing moves, so there is time for the way ahead."""
        scene, track = self._scene, self._track
        if scene is None or row >= track.rows:
            return
        for arm, position in track.arms(row, track.qpos).items():
            scene.pose(arm, position)
        if still and row != self._pathed:
            self._pathed = row
            ahead = range(row, min(track.rows, row + max(2, round(AHEAD_S * track.rate_hz))))
            ways: dict[str, list[np.ndarray]] = {}
            for at in ahead:
                for arm, position in track.arms(at, track.action).items():
                    ways.setdefault(arm, []).append(position)
            for arm, way in ways.items():
                scene.path(arm, way)
