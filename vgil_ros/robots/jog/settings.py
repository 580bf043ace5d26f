"""Settings of jogging, and the axes and commands that every device has in common."""

from __future__ import annotations

from dataclasses import dataclass

AXES = ("x", "y", "z", "roll", "pitch", "yaw", "grip")  # of a stick (7,), -1..1 each: forward, left, up; about them
COMMANDS = {  # by name, and what it does
    "arm": "the next arm",
    "frame": "base or tool frame",
    "faster": "next speed level",
    "slower": "speed level before",
    "grip": "close or open the gripper",
    "home": "slowly home",
    "align": "slowly to where the puppet is",
    "steps": "steps instead of speed",
    "stop": "stop at once",
}
LEVELS = (0.1, 0.25, 0.5, 1.0)  # of the speed limits, and of a step


@dataclass(frozen=True)
class JogSettings:
    """How fast things move.

    Attributes:
        linear, angular: of the tip at the highest speed level, m/s and rad/s.
        joint_speed: most that a joint takes of its velocity limit, a share.
        home_speed: the same on the way home.
        gripper_speed: of its travel a second.
        step_linear, step_angular: of one key press in step mode at the highest speed level, m and rad.
        smooth_s: in which a motion begins and ends, s.
        tip: the link that is moved; "" for the grasp link.
    """

    linear: float = 0.2
    angular: float = 1.0
    joint_speed: float = 0.5
    home_speed: float = 0.15
    gripper_speed: float = 1.5
    step_linear: float = 0.01
    step_angular: float = 0.1
    smooth_s: float = 0.1
    tip: str = ""
