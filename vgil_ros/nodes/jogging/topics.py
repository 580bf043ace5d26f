"""Wishes that come over topics: for scripts, tests, and pages in a browser. Silence for too long is a stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float32, String

from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.robots.jog.jogger import FRAMES, Jogger


@dataclass(frozen=True, eq=False)
class TwistWish:
    """A twist (6,) m/s, rad/s, and whether its axes are the tool's; None: as the operator has chosen."""

    twist: np.ndarray
    in_tool: bool | None


class TopicWishes:
    """Listens on `~/twist`, `~/gripper` and `~/arm`.

    Args:
        node: that listens.
        jogger: whose arms they are for.
        deadman_ns: a message that is older counts no more.
        on_arm: called where another arm was chosen.
    """

    def __init__(self, node: VgilNode, jogger: Jogger, deadman_ns: int, on_arm: Callable[[], None]) -> None:
        self._node, self._jogger, self._deadman_ns, self._other_arm = node, jogger, deadman_ns, on_arm
        self._twist: tuple[TwistWish, int] | None = None
        self._gripper: tuple[float, int] | None = None
        node.create_subscription(TwistStamped, "~/twist", self._on_twist, 10)
        node.create_subscription(Float32, "~/gripper", self._on_gripper, 10)
        node.create_subscription(String, "~/arm", self._on_arm, 10)

    def twist(self, now_ns: int) -> tuple[TwistWish | None, bool]:
        """Return the wish, None where there is none, and whether one has just run out: then everything is to stop."""
        if self._twist is None:
            return None, False
        wish, came_ns = self._twist
        if 0 <= now_ns - came_ns <= self._deadman_ns:
            return wish, False
        self._twist = None
        return None, bool(wish.twist.any())

    def gripper(self, now_ns: int) -> tuple[float | None, bool]:
        """Return the opening (0..1) that is wanted, None where nothing is, and whether a wish has just run out."""
        if self._gripper is None:
            return None, False
        opening, came_ns = self._gripper
        if 0 <= now_ns - came_ns <= self._deadman_ns:
            return opening, False
        self._gripper = None
        return None, True

    def _on_twist(self, message: TwistStamped) -> None:
        linear, angular = message.twist.linear, message.twist.angular
        values = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        frame = message.header.frame_id
        if not np.isfinite(values).all():
            self._refuse("twist", f"~/twist: {values.tolist()} is not finite; allowed: numbers that are")
        elif frame and frame not in FRAMES:
            self._refuse("twist", f"~/twist: frame_id is '{frame}'; allowed: {', '.join(FRAMES)}, or empty")
        else:
            self._node.clear("twist")
            self._twist = (TwistWish(values, frame == "tool" if frame else None), self._node.now_ns())

    def _refuse(self, key: str, words: str) -> None:
        self._node.warn_once(key, words)

    def _on_gripper(self, message: Float32) -> None:
        opening = float(message.data)
        if not 0.0 <= opening <= 1.0:  # NaN is not
            self._refuse("gripper", f"~/gripper: {opening:g}; allowed: 0 (closed) to 1 (open)")
            return
        self._node.clear("gripper")
        self._gripper = (opening, self._node.now_ns())

    def _on_arm(self, message: String) -> None:
        before = self._jogger.active
        try:
            self._jogger.choose(message.data)
        except VgilError as error:
            self._refuse("arm", f"~/arm: {error}")
            return
        if self._jogger.active != before:
            self._other_arm()
        self._node.clear("arm")
