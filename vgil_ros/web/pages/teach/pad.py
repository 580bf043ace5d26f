"""Buttons that move the leader while they are held, by mouse, finger, Space or Enter; arm, frame, speed, gripper."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from vgil_ros.robots.jog.settings import LEVELS
from vgil_ros.web.pages.teach.keys import unfocused
from vgil_ros.web.pages.teach.leading import Leading

GROUPS = (  # name, (key, icon, what it does) by row; None: a gap
    (
        "move",
        (
            (None, ("i", "north", "forward"), None, ("u", "keyboard_double_arrow_up", "up")),
            (
                ("j", "west", "left"),
                ("k", "south", "back"),
                ("l", "east", "right"),
                ("o", "keyboard_double_arrow_down", "down"),
            ),
        ),
    ),
    (
        "turn",
        (
            (("f", "rotate_left", "turn left"), ("t", "expand_less", "pitch up"), ("h", "rotate_right", "turn right")),
            (("v", "undo", "roll left"), ("g", "expand_more", "pitch down"), ("b", "redo", "roll right")),
        ),
    ),
)  # fmt: skip
LEVEL_WORDS = ("fine", "slow", "medium", "fast")


class ControlPad:
    """The controls on screen.

    Args:
        leading: what they move.
    """

    def __init__(self, leading: Leading) -> None:
        self._leading, self._hand = leading, leading.hand
        with ui.row().classes("items-end gap-6"):
            for name, rows in GROUPS:
                self._group(name, rows)
            self._gripper()
            self._choices()

    def _group(self, name: str, rows: tuple[tuple[tuple[str, str, str] | None, ...], ...]) -> None:
        with ui.column().classes("gap-1").props(f'role=group aria-label="{name}"'):
            ui.label(name).classes("text-xs uppercase tracking-wide opacity-80")
            for row in rows:
                with ui.row().classes("gap-1"):
                    for cell in row:
                        if cell is None:
                            ui.element("div").classes("w-14 h-14")
                        else:
                            self._hold(*cell)

    def _hold(self, key: str, icon: str, words: str) -> None:
        button = unfocused(ui.button(color="primary")).props(f'unelevated aria-label="{words}, held; key {key}"')
        button.classes("w-14 h-14 select-none").style("touch-action: none").props(f"data-testid=hold-{key}")
        with button, ui.column().classes("gap-0 items-center"):
            ui.icon(icon).classes("text-2xl")
            ui.label(key.upper()).classes("text-xs leading-none")
        button.on("pointerdown", lambda: self._press(key), [])
        for gone in ("pointerup", "pointercancel", "pointerleave", "blur"):
            button.on(gone, lambda: self._let_go(key), [])
        button.on("keydown", lambda event: self._by_key(key, event, down=True), ["key", "repeat"])
        button.on("keyup", lambda event: self._by_key(key, event, down=False), ["key"])
        button.on("contextmenu.prevent", lambda: None, [])

    def _press(self, key: str) -> None:
        self._hand.press(key, self._leading.now())
        self._leading.wake()

    def _let_go(self, key: str) -> None:
        self._hand.let_go(key)
        self._leading.wake()

    def _by_key(self, key: str, event: Any, *, down: bool) -> None:
        """Space or Enter on a button that has the keyboard."""
        if event.args.get("key") not in (" ", "Enter") or (down and event.args.get("repeat")):
            return
        (self._press if down else self._let_go)(key)

    def _gripper(self) -> None:
        with ui.column().classes("gap-1 w-44").props('role=group aria-label="gripper"'):
            ui.label("gripper").classes("text-xs uppercase tracking-wide opacity-80")
            with ui.row().classes("gap-1 w-full no-wrap"):
                self._hold("z", "compress", "close the gripper")
                self._hold("x", "expand", "open the gripper")
                toggle = unfocused(ui.button("Space", on_click=lambda: self.command("grip"))).props(
                    'outline no-caps dense aria-label="close or open the gripper, key Space"'
                )
                toggle.classes("h-14 grow")
            self.slider = ui.slider(min=0, max=100, value=100).props(
                'label aria-label="opening of the gripper, percent"'
            )
            self.slider.on("update:model-value", self._slide, throttle=0.1)

    def _slide(self, event: Any) -> None:
        opening = event.args if isinstance(event.args, (int, float)) else 0.0
        self._hand.grip_to(float(opening) / 100.0, self._leading.now(), self._leading.leader().opening)
        self._leading.wake()

    def _choices(self) -> None:
        with ui.column().classes("gap-2"):
            self.arm = ui.toggle({name: name for name in self._hand.arms}, value=self._hand.arm, on_change=self._arm)
            self.arm.props('no-caps dense aria-label="which arm, keys 1 and 2"')
            self.arm.set_visibility(len(self._hand.arms) > 1)
            self.frame = ui.toggle({"base": "base", "tool": "tool"}, value="base", on_change=self._frame)
            self.frame.props('no-caps dense aria-label="axes of the motions, key C"').tooltip(
                "axes of base or tool (C)"
            )
            with ui.row().classes("items-center gap-1 no-wrap").props('role=group aria-label="speed"'):
                for sign, icon, words in ((-1, "remove", "slower, key minus"), (1, "add", "faster, key plus")):
                    if sign > 0:
                        self.speed = ui.label().classes("w-28 text-center leading-tight")
                    button = ui.button(
                        icon=icon, on_click=lambda by=sign: self.command("faster" if by > 0 else "slower")
                    )
                    unfocused(button).props(f'outline dense aria-label="{words}"')
        self.show()

    def _arm(self) -> None:
        if self.arm.value and self.arm.value != self._hand.arm:
            self._hand.choose(self.arm.value)

    def _frame(self) -> None:
        if self.frame.value != self._hand.frame:
            self._hand.turn_frame()

    def command(self, name: str) -> None:
        """Do grip, frame, faster, slower, stop or arm, or choose an arm by its number."""
        hand, now = self._hand, self._leading.now()
        if name == "grip":
            hand.grip_toggle(now, self._leading.leader().opening)
        elif name == "frame":
            hand.turn_frame()
        elif name in ("faster", "slower"):
            hand.quicken(1 if name == "faster" else -1)
        elif name == "stop":
            hand.release()
        elif name == "arm":
            hand.next_arm()
        elif name.isdigit() and 0 < int(name) <= len(hand.arms):
            hand.choose(hand.arms[int(name) - 1])
        self._leading.wake()
        self.show()

    def show(self) -> None:
        """Let the controls show how the hand is."""
        hand = self._hand
        self.arm.value, self.frame.value = hand.arm, hand.frame
        self.speed.set_text(f"{LEVEL_WORDS[hand.level]}: {1e3 * hand.speed[0]:.0f} mm/s")
        assert len(LEVEL_WORDS) == len(LEVELS)
