"""The panel of `jog` in its terminal: keys, and where the arm is, how fast it goes, what hinders it."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Sequence

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vgil_ros.robots.jog.jogger import FRAMES, Jogger
from vgil_ros.robots.jog.keys import HELP
from vgil_ros.robots.jog.settings import LEVELS

COLUMNS = 3  # of the key map


class Panel:
    """Redrawn in place; lines of the log stand above it.

    Args:
        jogger: what it tells of.
        keys: (key, what it does), beside the ones that move.
    """

    def __init__(self, jogger: Jogger, keys: Sequence[tuple[str, str]]) -> None:
        self._jogger, self._keys = jogger, (*HELP, *keys)
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    @classmethod
    def possible(cls) -> bool:
        """Whether standard output is a terminal."""
        return sys.stdout.isatty()

    def draw(self, notes: Sequence[str]) -> None:
        """Show how things stand; `notes` are what is said of other nodes, and warnings that last."""
        self._live.update(Group(self._key_map(), state(self._jogger), *(Text(note) for note in notes)), refresh=True)

    def line(self, words: str, style: str) -> None:
        """Print a line above."""
        self._console.print(Text(words, style=style))

    def close(self) -> None:
        """Leave what is drawn last."""
        self._live.stop()

    def _key_map(self) -> Table:
        table = Table.grid(padding=(0, 2))
        rows = math.ceil(len(self._keys) / COLUMNS)
        for row in range(rows):
            cells: list[Text] = []
            for column in range(COLUMNS):
                at = row + column * rows
                key, words = self._keys[at] if at < len(self._keys) else ("", "")
                cells += [Text(key, style="bold"), Text(words)]
            table.add_row(*cells)
        return table


def state(jogger: Jogger) -> Table:
    """Arms, frame, speed, pose and hindrance of a jogger."""
    table = Table.grid(padding=(0, 2))
    linear, angular = jogger.speed
    names = Text("  ").join(
        Text(arm.name, style="bold reverse" if i == jogger.active else "dim") for i, arm in enumerate(jogger.arms)
    )
    table.add_row("arm", names)
    table.add_row("frame", FRAMES[jogger.in_tool])
    level = f"{jogger.level + 1} of {len(LEVELS)}: {linear:.3g} m/s, {angular:.3g} rad/s"
    if jogger.steps:
        share = LEVELS[jogger.level]
        steps = jogger.settings.step_linear * share * 1e3, jogger.settings.step_angular * share
        level = f"{jogger.level + 1} of {len(LEVELS)}: a key press is {steps[0]:.3g} mm, {steps[1]:.3g} rad"
    table.add_row("speed", level)
    table.add_row("tip", pose_words(jogger))
    table.add_row("", Text(jogger.hindrance(), style="yellow"))
    return table


def pose_words(jogger: Jogger) -> str:
    """Where the active arm's tip is in its own base, and how far its gripper is open."""
    arm = jogger.arm
    if arm.position is None:
        return "not known: the puppet is not heard"
    pose = arm.tip.pose(arm.position)
    x, y, z = pose[:3, 3]
    roll = math.atan2(pose[2, 1], pose[2, 2])
    pitch = -math.asin(float(np.clip(pose[2, 0], -1.0, 1.0)))
    yaw = math.atan2(pose[1, 0], pose[0, 0])
    grip = "" if arm.gripper is None else f"; gripper {arm.position[arm.gripper]:.0%} open"
    return f"{x:.3f} {y:.3f} {z:.3f} m, roll {roll:.2f} pitch {pitch:.2f} yaw {yaw:.2f} rad{grip}"


def plain(jogger: Jogger) -> str:
    """The state as text without colours, for a log."""
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(state(jogger))
    return out.getvalue()
