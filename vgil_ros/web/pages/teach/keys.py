"""The keys of Teach: those of `vgil jog`, told by a browser when they go down and when they go up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from nicegui.events import KeyEventArguments

from vgil_ros.robots.jog.keys import COMMAND_KEYS, MOTIONS
from vgil_ros.web.pages.frame import ESTOP_KEY
from vgil_ros.web.pages.teach.leading import Leading

NAMES = {  # of a browser's keys, as jog calls them
    "ArrowUp": "up",
    "ArrowDown": "down",
    "ArrowLeft": "left",
    "ArrowRight": "right",
    "PageUp": "page up",
    "PageDown": "page down",
}
COMMANDS = {key: meant for key, meant in COMMAND_KEYS.items() if meant in ("grip", "frame", "faster", "slower", "stop")}
RECORDER = "sdrynm"  # as in jog's terminal
FIELDS = ["input", "select", "textarea"]
# one expression: keys that move an arm do not scroll the page, and Space presses no button that was clicked before
NO_SCROLL = (
    "addEventListener('keydown', e => /^(Arrow|Page)/.test(e.key)"
    " && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName) && e.preventDefault())"
)


class Keys:
    """Listens to a page's keys.

    Args:
        leading: what they move.
        command: does grip, frame, faster, slower, stop, or chooses an arm by its number.
        record: does what a recorder's key means.
    """

    def __init__(
        self, leading: Leading, command: Callable[[str], None], record: Callable[[str], Awaitable[None]]
    ) -> None:
        self._leading, self._command, self._record = leading, command, record
        ui.keyboard(self._on_key, ignore=FIELDS, repeating=True)  # type: ignore[arg-type]
        ui.keyboard(self._on_up, ignore=[], repeating=False)  # a key may come up while a field has the keyboard
        ui.keyboard(self._on_space, ignore=[*FIELDS, "button"], repeating=False)  # type: ignore[list-item]
        ui.run_javascript(NO_SCROLL)

    def _on_key(self, event: KeyEventArguments) -> Awaitable[None] | None:
        """Motions go by down and up; all else by down alone."""
        hand, name = self._leading.hand, _name(event)
        if event.action.keyup:
            return None
        if event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            hand.release()  # a shortcut of browser or system: the key's "up" may never come
            return None
        if name in MOTIONS:
            hand.press(name, self._leading.now(), repeated=bool(event.action.repeat))
            self._leading.wake()
        elif event.action.repeat or name == " ":
            return None
        elif event.key.name == ESTOP_KEY:
            hand.release()
        elif name in COMMANDS or name.isdigit():
            self._command(COMMANDS.get(name, name))
        elif name and name in RECORDER:
            return self._record(name)
        return None

    def _on_up(self, event: KeyEventArguments) -> None:
        if event.action.keyup:
            self._leading.hand.let_go(_name(event))
            self._leading.wake()

    def _on_space(self, event: KeyEventArguments) -> None:
        """Space is the gripper's, unless a button has the keyboard."""
        if event.action.keydown and event.key.name == " ":
            self._command("grip")


def _name(event: KeyEventArguments) -> str:
    return NAMES.get(event.key.name, event.key.name.lower())


def unfocused(button: Any) -> Any:
    """A button that a click does not give the keyboard to: the next Space is meant for the gripper."""
    button.on("mousedown", js_handler="(e) => e.preventDefault()")
    return button
