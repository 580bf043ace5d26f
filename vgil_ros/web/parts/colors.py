"""Colours that read well on a light and on a dark page, and what they mean."""

from __future__ import annotations

from collections.abc import Iterable

from nicegui import ui

from vgil_ros.web.link import ERROR, OK, STALE, WARN

LEVELS = {OK: "positive", WARN: "warning", ERROR: "negative", STALE: "grey-7"}  # Quasar's names
LEVEL_WORDS = {OK: "well", WARN: "look", ERROR: "bad", STALE: "silent"}
MEASURED, MASTER, COMMAND = "#1e88e5", "#43a047", "#fb8c00"
TRACK, LIMIT = "#90a4ae66", "#e53935"
LINES = ("#1e88e5", "#fb8c00", "#43a047", "#8e24aa", "#e53935", "#00acc1", "#6d4c41", "#c0ca33", "#3949ab", "#f06292")
# Quasar's colours: white stands on each with a contrast of 4.5 at least. As letters on a dark page they are lighter.
PALETTE = {
    "primary": "#1565c0",
    "secondary": "#00796b",
    "positive": "#2e7d32",
    "negative": "#c62828",
    "warning": "#9a5b00",
    "info": "#01579b",
}
_ON_DARK = {
    "primary": "#90caf9",
    "secondary": "#80cbc4",
    "positive": "#81c784",
    "negative": "#ef9a9a",
    "warning": "#ffcc80",
    "info": "#81d4fa",
}
# CSS. Quasar's own rules lie in a layer whose `!important` nothing outside it can beat: its variable is changed.
ON_DARK = "\n".join(f".body--dark .text-{name} {{ --q-{name}: {color}; }}" for name, color in _ON_DARK.items())


def legend(entries: Iterable[tuple[str, str]]) -> None:
    """A line of coloured squares (colour, words), each with its words in the page's own letters."""
    with ui.row().classes("items-center gap-3"):
        for color, words in entries:
            with ui.row().classes("items-center gap-1 text-xs"):
                ui.element("div").classes("w-3 h-3").style(f"background: {color}").props("aria-hidden=true")
                ui.label(words)
