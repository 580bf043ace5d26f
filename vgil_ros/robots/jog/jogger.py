"""A robot whose arms are moved by hand, one at a time: which one, in which frame, how fast, and what hinders it."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import ArmLayout, Layout
from vgil_ros.robots.jog.arm import JoggedArm
from vgil_ros.robots.jog.keys import Pace
from vgil_ros.robots.jog.settings import COMMANDS, LEVELS, JogSettings

MOST_DT = 0.05  # s; a tick that came later than this moves no further
SLOWED = 0.9  # of the wish; what gets less is told why
FRAMES = ("base", "tool")


class Jogger:
    """Takes wishes and commands of a device, and gives each arm's master position.

    Args:
        layout: the robot.
        arms: its arms that can be moved.
        settings: speeds.
        frame: "base" or "tool", to begin with.
        level: index of LEVELS, to begin with.

    Attributes:
        arms: in the contract's order.
        active: index of the arm that is moved.
        in_tool: whether wishes are along the tip's axes.
        level: index of LEVELS.
        steps: whether a key press is a step.
    """

    def __init__(
        self,
        layout: Layout,
        arms: list[ArmLayout],
        settings: JogSettings,
        *,
        frame: str = "base",
        level: int = 2,
    ) -> None:
        self.settings = settings
        self.arms = [JoggedArm(layout, arm, settings) for arm in arms]
        self.active, self.in_tool, self.level, self.steps = 0, frame == "tool", level, False
        self._measured: list[np.ndarray | None] = [None] * len(arms)

    @property
    def arm(self) -> JoggedArm:
        """The one that is moved."""
        return self.arms[self.active]

    @property
    def speed(self) -> tuple[float, float]:
        """What a full stick asks for at this level: m/s and rad/s."""
        share = LEVELS[self.level]
        return self.settings.linear * share, self.settings.angular * share

    @property
    def pace(self) -> Pace:
        """What a key press is at this level."""
        return Pace(self.steps, LEVELS[self.level])

    def twist(self, stick: np.ndarray) -> np.ndarray:
        """The twist (6,) m/s, rad/s of a stick (>= 6,), -1..1 each."""
        linear, angular = self.speed
        twist: np.ndarray = np.clip(stick[:6], -1.0, 1.0) * np.repeat([linear, angular], 3)
        return twist

    def limited(self, twist: np.ndarray) -> np.ndarray:
        """A twist (6,) m/s, rad/s within the limits, in its own direction."""
        most = max(
            float(np.linalg.norm(twist[:3])) / self.settings.linear,
            float(np.linalg.norm(twist[3:])) / self.settings.angular,
            1.0,
        )
        return twist / most

    def measured(self, index: int, position: np.ndarray | None) -> None:
        """Tell where a puppet is, (J,); None while that is not known. An arm begins where it is first measured."""
        self._measured[index] = position
        if position is not None and self.arms[index].position is None:
            self.arms[index].begin(position)

    def step(self, dt: float, twist: np.ndarray, grip: float, in_tool: bool | None = None) -> None:
        """Go on by `dt` seconds; only the active arm takes the wish, those on their way to a pose go on.

        Args:
            dt: s since the last step.
            twist: (6,) m/s, rad/s.
            grip: opening of the gripper, -1..1 of its speed.
            in_tool: the twist's frame; None: the one that was chosen.
        """
        dt = min(max(dt, 0.0), MOST_DT)
        if dt == 0.0:
            return
        still = np.zeros(6)
        for index, arm in enumerate(self.arms):
            if self._measured[index] is None:  # a puppet that is not heard is led nowhere
                arm.halt()
                continue
            mine = index == self.active
            frame = self.in_tool if in_tool is None else in_tool
            arm.step(dt, self.limited(twist) if mine else still, frame, grip if mine else 0.0)

    def do(self, command: str) -> None:
        """Obey a command of COMMANDS.

        Raises:
            VgilError: for another.
        """
        if command not in COMMANDS:
            raise VgilError(f"command '{command}' is unknown; allowed: {', '.join(COMMANDS)}")
        if command == "arm":
            self.active = (self.active + 1) % len(self.arms)
        elif command == "frame":
            self.in_tool = not self.in_tool
        elif command in ("faster", "slower"):
            self.level = min(max(self.level + (1 if command == "faster" else -1), 0), len(LEVELS) - 1)
        elif command == "grip":
            self.arm.grip_toggle()
        elif command == "home":
            self.arm.go_home()
        elif command == "align":
            self._align()
        elif command == "steps":
            self.steps = not self.steps
        else:
            self.halt()

    def choose(self, name: str) -> None:
        """Move another arm.

        Raises:
            VgilError: where none has the name.
        """
        names = [arm.name for arm in self.arms]
        if name not in names:
            raise VgilError(f"arm '{name}' is unknown; allowed: {names}")
        self.active = names.index(name)

    @property
    def going(self) -> bool:
        """Whether an arm is on its way to a pose by itself."""
        return any(arm.goal is not None for arm in self.arms)

    @property
    def gripping(self) -> bool:
        """Whether a gripper is on its way to an opening by itself."""
        return any(arm.gripping for arm in self.arms)

    def halt(self) -> None:
        """Every arm stands still at once."""
        for arm in self.arms:
            arm.halt()

    def forget(self) -> None:
        """The scene was reset: each arm begins anew where its puppet is measured next."""
        self._measured = [None] * len(self.arms)
        for arm in self.arms:
            arm.forget()

    def hindrance(self) -> str:
        """In words, what the active arm runs against; "" where it runs freely."""
        tip = self.arm.tip
        if tip.pace >= SLOWED:
            return ""
        slowed = "stands" if tip.pace < 0.01 else f"slowed to {tip.pace:.0%}"
        if tip.blocked:
            return f"{self.arm.name}: at the limit of {', '.join(tip.blocked)}; {slowed}"
        return f"{self.arm.name}: near a limit, a singular pose, or the end of its reach; {slowed}"

    def _align(self) -> None:
        measured = self._measured[self.active]
        if measured is not None:
            self.arm.go_to(measured)
