"""The devices of `jog`: keys of its terminal, a gamepad or a SpaceMouse. Each gives a stick and commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from sensor_msgs.msg import Joy

from vgil_ros.nodes.base.keyboard import Keys
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.robots.jog.gamepad import Pad
from vgil_ros.robots.jog.joystick import Joystick
from vgil_ros.robots.jog.keys import COMMAND_KEYS, MOTIONS, HeldKeys, KeyNames, Pace
from vgil_ros.robots.jog.settings import AXES


class Device(Protocol):
    """What moves an arm.

    Attributes:
        silent: it is not heard, so that nothing is known of what the hand does: everything stands.
        let_go: it has a dead-man button, which is up: nothing goes on by itself.
    """

    silent: bool

    @property
    def let_go(self) -> bool: ...

    def commands(self, now_ns: int, pace: Callable[[], Pace]) -> Iterable[str]:
        """The commands since the last turn, or keys that are the node's to know, each to be obeyed before the next.

        Args:
            now_ns: the time.
            pace: what a key press is now; a command may change it.
        """

    def stick(self, dt: float, pace: Pace) -> np.ndarray:
        """What is asked for over the coming `dt` seconds, (7,), -1..1."""

    def release(self) -> None:
        """Whatever is held, or owed, is let go of."""

    def close(self) -> None:
        """Let go of the device."""


class Nothing:
    """No device: only topics move the arms."""

    silent = let_go = False

    def commands(self, now_ns: int, pace: Callable[[], Pace]) -> Iterable[str]:
        """None."""
        return ()

    def stick(self, dt: float, pace: Pace) -> np.ndarray:
        """At rest."""
        return np.zeros(len(AXES))

    def release(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is open."""


class Keyboard:
    """Keys of a terminal.

    Args:
        keys: where they come from.
        held: for how long one is held.
    """

    silent = let_go = False

    def __init__(self, keys: Keys, held: HeldKeys) -> None:
        self._keys, self._held, self._names = keys, held, KeyNames()

    def commands(self, now_ns: int, pace: Callable[[], Pace]) -> Iterable[str]:
        """As of every device; a key that neither moves nor commands is handed on as it is."""
        for key in self._names.feed(self._keys.pressed()):
            if key in MOTIONS:
                self._held.press(key, pace())
            else:
                yield COMMAND_KEYS.get(key, key)

    def stick(self, dt: float, pace: Pace) -> np.ndarray:
        """Of the keys that are held, and the steps that are owed."""
        return self._held.stick(dt, pace)

    def release(self) -> None:
        """No key is held, no step owed."""
        self._held.release()

    def close(self) -> None:
        """Give the terminal back."""
        self._keys.close()


class JoyTopic:
    """A gamepad or SpaceMouse on a topic of sensor_msgs/Joy.

    Args:
        node: that listens.
        topic: where.
        pad: its axes and buttons.
        deadman_ns: without a message for so long, nothing is known of the hand.
    """

    def __init__(self, node: VgilNode, topic: str, pad: Pad, deadman_ns: int) -> None:
        self._node, self._pad, self._deadman_ns = node, pad, deadman_ns
        self._topic = node.resolve_topic_name(topic)
        self._last_ns: int | None = None
        self._commands: list[str] = []
        self.silent = False
        node.create_subscription(Joy, topic, self._on_joy, 10)

    @property
    def let_go(self) -> bool:
        """Whether its dead-man button is up."""
        return self._pad.let_go

    def _on_joy(self, message: Joy) -> None:
        self._last_ns = self._node.now_ns()
        self._commands += self._pad.read(message.axes, message.buttons)
        if words := self._pad.mapping.lacking(len(message.axes), len(message.buttons)):
            self._node.warn_once("gamepad", f"{self._topic}: {words}")

    def commands(self, now_ns: int, pace: Callable[[], Pace]) -> Iterable[str]:
        """Of the buttons that were pressed."""
        commands, self._commands = self._commands, []
        self.silent = self._last_ns is not None and not 0 <= now_ns - self._last_ns <= self._deadman_ns
        if self.silent:
            self._pad.release()
        return commands

    def stick(self, dt: float, pace: Pace) -> np.ndarray:
        """Of the last message, zero once that is too old."""
        return self._pad.stick

    def release(self) -> None:
        """The hand is on it still: what it asks for, it asks for."""

    def close(self) -> None:
        """The node ends its subscriptions."""


class JoystickFile:
    """A gamepad on Linux' joystick interface: it tells of changes alone, so it is silent only once it is gone.

    Args:
        node: for warnings.
        joystick: the device.
        pad: its axes and buttons.
    """

    def __init__(self, node: VgilNode, joystick: Joystick, pad: Pad) -> None:
        self._node, self._joystick, self._pad = node, joystick, pad
        self.silent = False
        self._checked = False

    @property
    def let_go(self) -> bool:
        """Whether its dead-man button is up."""
        return self._pad.let_go

    def commands(self, now_ns: int, pace: Callable[[], Pace]) -> Iterable[str]:
        """Of the buttons that were pressed."""
        self.silent = not self._joystick.poll()
        if self.silent:
            self._pad.release()
            self._node.warn_once("gamepad", f"{self._joystick.path} is gone: plug it in again, then start anew")
            return ()
        axes, buttons = self._joystick.axes, self._joystick.buttons
        if not self._checked and axes:  # the kernel tells of all of them at once, at the beginning
            self._checked = True
            if words := self._pad.mapping.lacking(len(axes), len(buttons)):
                self._node.warn_once("gamepad", f"{self._joystick.path}: {words}")
        return self._pad.read(axes, buttons)

    def stick(self, dt: float, pace: Pace) -> np.ndarray:
        """As it stands; zero once it is gone."""
        return self._pad.stick

    def release(self) -> None:
        """The hand is on it still."""

    def close(self) -> None:
        """Close the file."""
        self._joystick.close()
