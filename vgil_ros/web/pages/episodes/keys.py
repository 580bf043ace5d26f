"""Keys of a page: names to what they do. They sleep while a dialog is open, and where somebody types."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping

from nicegui import ui
from nicegui.events import KeyEventArguments

TYPED = ("input", "textarea", "select")
ACTING = (*TYPED, "button", "a")  # what space or Enter works on by itself
MOVING = (*TYPED, "div")  # sliders move by arrows themselves
Handler = Callable[[], Awaitable[object] | None]


class Keys:
    """The keys of one page in somebody's browser."""

    def __init__(self) -> None:
        self._dialogs: list[ui.dialog] = []

    def on(self, bindings: Mapping[str, Handler], ignore: tuple[str, ...] = TYPED, *, repeating: bool = False) -> None:
        """Bind keys, as browsers name them, with `Shift+` before those that are pressed with it.

        Args:
            ignore: kinds of elements that use these keys themselves while they have the focus.
            repeating: also while a key is held down.
        """

        def handle(event: KeyEventArguments) -> Awaitable[object] | None:
            held = event.modifiers
            if not event.action.keydown or held.ctrl or held.meta or held.alt or self.asleep:
                return None
            name = event.key.name
            name = f"Shift+{name}" if held.shift and len(name) > 1 else name
            handler = bindings.get(name)
            return handler() if handler is not None else None

        ui.keyboard(handle, ignore=list(ignore), repeating=repeating)  # type: ignore[arg-type]  # any tag is taken

    @property
    def asleep(self) -> bool:
        """Whether a dialog is open."""
        return any(dialog.value for dialog in self._dialogs)

    @contextlib.contextmanager
    def dialog(self, title: str) -> Iterator[ui.dialog]:
        """A dialog with a title; what is made within stands below it."""
        dialog = ui.dialog()
        dialog.props["aria-label"] = title
        self._dialogs = [one for one in self._dialogs if not one.is_deleted]
        self._dialogs.append(dialog)
        with dialog, ui.card().classes("min-w-[min(32rem,90vw)] gap-3"):
            ui.label(title).classes("text-xl font-medium")
            yield dialog


def dialog_buttons(dialog: ui.dialog, text: str, do: Handler) -> None:
    """What a dialog does, and a way out."""
    with ui.row().classes("w-full justify-end"):
        ui.button(text, on_click=do).props("no-caps")
        ui.button("Close", on_click=dialog.close).props("no-caps flat")
