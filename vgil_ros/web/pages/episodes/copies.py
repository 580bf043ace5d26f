"""Dialogs that make new data sets of episodes: merge and export."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nicegui import ui

from vgil_ros.datasets.plan import IMAGES, TARGETS
from vgil_ros.web.pages.episodes.acts import Acts
from vgil_ros.web.pages.episodes.keys import Keys, dialog_buttons


async def merge_dialog(keys: Keys, acts: Acts, names: Sequence[str]) -> None:
    """Ask which folders are merged with the episodes, and under which name."""
    own = acts.store.folders.name_of(acts.folder)
    found = await asyncio.to_thread(acts.store.folders.names)
    others = {name: name or acts.store.folders.root.name for name in found if name != own}
    with keys.dialog(f"Merge {len(names)} episodes") as dialog:
        ui.label("They are copied into a new data set, numbered from 0.").classes("text-base")
        more = ui.select(others, multiple=True, value=[], label="and all episodes of").classes("w-full")
        more.props("outlined dense use-chips")
        more.set_visibility(bool(others))
        out = ui.input("new folder", value=f"{acts.folder.name}_merged").classes("w-full").props("outlined dense")
        mixed = ui.checkbox("also where rates, joints or gripper ranges differ")

        async def merge() -> None:
            if (await acts.merge(names, more.value or [], out.value or "", mixed=mixed.value)).ok:
                dialog.close()

        dialog_buttons(dialog, "Merge", merge)
    dialog.open()


def export_dialog(keys: Keys, acts: Acts, names: Sequence[str]) -> None:
    """Ask for a format and a name, and begin."""
    what = f"{len(names)} episodes" if names else f"all episodes of {acts.folder.name}"
    with keys.dialog(f"Export {what}") as dialog:
        to = ui.select(list(TARGETS), value=TARGETS[0], label="format").classes("w-full").props("outlined dense")
        images = ui.select(list(IMAGES[TARGETS[0]]), value=IMAGES[TARGETS[0]][0], label="pictures as")
        images.classes("w-full").props("outlined dense")
        out = ui.input("new folder", value=f"{acts.folder.name}_{TARGETS[0]}").classes("w-full").props("outlined dense")

        def changed() -> None:
            allowed = list(IMAGES.get(to.value, ()))
            images.set_options(allowed, value=allowed[0] if allowed else None)
            images.set_visibility(bool(allowed))
            out.set_value(f"{acts.folder.name}_{to.value}")

        async def begin() -> None:
            if (await acts.export(names, to.value, images.value, out.value or "")).ok:
                dialog.close()

        to.on_value_change(changed)
        dialog_buttons(dialog, "Export", begin)
    dialog.open()
