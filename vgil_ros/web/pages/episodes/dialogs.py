"""Dialogs of curation: words of episodes, and the history with its trash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from nicegui import ui

from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.journal import DONE, UNDONE, Entry
from vgil_ros.episodes.curation.labels import WORDS, Label
from vgil_ros.episodes.reading.listing import Line
from vgil_ros.web.episodes.store import entries_of, undoable
from vgil_ros.web.pages.episodes.acts import Acts
from vgil_ros.web.pages.episodes.keys import Keys, dialog_buttons

SHOWN = 50  # entries of a history


def words_dialog(keys: Keys, acts: Acts, names: Sequence[str], line: Line | None = None) -> None:
    """Ask for tags, a note and the like.

    Args:
        line: what is said of the one episode so far; None where there are several.
    """
    title = names[0] if len(names) == 1 else f"{len(names)} episodes"
    before = {key: str(getattr(line, key, None) or "") for key in WORDS}
    with keys.dialog(f"Words of {title}") as dialog:
        add = ui.input("add tags, with spaces between").classes("w-full").props("outlined dense autofocus")
        add.props('data-testid="add tags"')
        remove = ui.input("take tags away").classes("w-full").props("outlined dense")
        if line is not None and line.tags:
            ui.label(f"tags now: {', '.join(line.tags)}")
        fields = {key: ui.input(key, value=before[key]).classes("w-full").props("outlined dense") for key in WORDS}
        if line is None:
            ui.label("what is left empty stays as it is").classes("text-sm")

        def label() -> Label:
            said = {key: field.value or "" for key, field in fields.items() if (field.value or "") != before[key]}
            return Label(None, tuple((add.value or "").split()), tuple((remove.value or "").split()), said)

        async def save() -> None:
            if (await acts.label(names, label)).ok:
                dialog.close()

        dialog_buttons(dialog, "Save", save)
    dialog.open()


async def trash_dialog(keys: Keys, acts: Acts) -> None:
    """Show what was done to a folder; take the last back, or bring deleted episodes back."""
    entries = await asyncio.to_thread(entries_of, acts.folder)
    last = undoable(entries)
    with keys.dialog(f"History of {acts.folder.name}") as dialog:
        if not entries:
            ui.label("nothing was done here yet").classes("text-base")
        with ui.list().props("separator dense").classes("w-full max-h-[60vh] overflow-auto"):
            for entry in entries[:SHOWN]:
                with ui.item():
                    with ui.item_section():
                        ui.item_label(entry.words).classes("text-base")
                        undone = ", undone" if entry.state == UNDONE else ""
                        ui.item_label(f"{entry.operation}, {entry.created}{undone}").props("caption")
                    names = _deleted(entry)
                    if names and entry.state == DONE:
                        with ui.item_section().props("side"):
                            _restore(dialog, acts, names)
        with ui.row().classes("w-full justify-end"):
            if last is not None:

                async def undo() -> None:
                    if (await acts.undo()).ok:
                        dialog.close()

                ui.button(f"Undo {last.operation}", icon="undo", on_click=undo).props("no-caps")
            ui.button("Close", on_click=dialog.close).props("no-caps flat")
    dialog.open()


def _deleted(entry: Entry) -> list[str]:
    """Episodes that an entry took away, without their logs."""
    if entry.operation != "delete":
        return []
    logs = {naming.log_of(Path(move.path)) for move in entry.leaving}
    return [move.path for move in entry.leaving if Path(move.path) not in logs]


def _restore(dialog: ui.dialog, acts: Acts, names: list[str]) -> None:
    async def restore() -> None:
        if (await acts.restore(names)).ok:
            dialog.close()

    button = ui.button("Restore", icon="restore_from_trash", on_click=restore).props("no-caps outline dense")
    button.props["aria-label"] = f"restore {', '.join(names)[:80]}"
