"""The buttons of a joystick that work the recorder: each press is one command, however long it is held."""

from __future__ import annotations

from collections.abc import Callable

from sensor_msgs.msg import Joy

from vgil_ros.core.contract import Joystick
from vgil_ros.core.session import SessionCommand
from vgil_ros.nodes.base.node import VgilNode


class Buttons:
    """Listens on the contract's joystick.

    Args:
        node: that listens.
        joystick: which button means what, by its place in the message.
        command: takes what they mean.
    """

    def __init__(self, node: VgilNode, joystick: Joystick, command: Callable[[SessionCommand], object]) -> None:
        self._meaning = {
            SessionCommand.TOGGLE: joystick.start,
            SessionCommand.DISCARD: joystick.discard,
            SessionCommand.REDO: joystick.redo,
            SessionCommand.LABEL_SUCCESS: joystick.success,
            SessionCommand.LABEL_FAILURE: joystick.failure,
            SessionCommand.LABEL_UNSURE: joystick.unsure,
        }
        self._command = command
        self._before: list[int] = []
        node.create_subscription(Joy, joystick.topic, self._on_joy, 10)

    def _on_joy(self, message: Joy) -> None:
        before, self._before = self._before, list(message.buttons)
        for command, place in self._meaning.items():
            if place is None or place >= len(self._before):
                continue
            if self._before[place] and not (place < len(before) and before[place]):
                self._command(command)
