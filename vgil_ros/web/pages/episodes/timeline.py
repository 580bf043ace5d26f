"""The time axis of an episode: a lane for each thing that was found, marked where it is, with its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from nicegui import ui
from nicegui.events import MouseEventArguments

from vgil_ros.episodes.checks.findings import spans
from vgil_ros.web.episodes.track import Track
from vgil_ros.web.episodes.verdicts import Verdict
from vgil_ros.web.pages.episodes.words import SEVERITY_COLORS

WIDTH, LANE, LETTER = 1000, 20, 12  # units of the drawing
MOST_LANES, MOST_SPANS, LONGEST = 10, 400, 110
HELD_COLOR, MISSING_COLOR = "#e65100", "#6a1b9a"
Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Lane:
    """One line of the axis: words, a colour, and the rows it is about."""

    words: str
    color: str
    rows: Spans


def lanes_of(track: Track, verdict: Verdict | None) -> list[Lane]:
    """What there is to mark: findings with rows, rows that were held, ticks that were dropped."""
    lanes = [
        Lane(f"{one.severity}: {one.stream}: {one.message}", SEVERITY_COLORS[one.severity], one.rows)
        for one in (verdict.findings if verdict is not None else ())
        if one.rows
    ]
    held = [Lane(f"{name}: held, its last value repeated", HELD_COLOR, rows) for name, rows in track.held().items()]
    if (gaps := spans(np.flatnonzero(track.missing))) and track.missing.any():
        held.append(Lane(f"{int(track.missing.sum())} ticks dropped before these rows", MISSING_COLOR, gaps))
    return (lanes + held)[:MOST_LANES]


def drawn(lanes: Sequence[Lane], rows: int, trim: tuple[int, int]) -> str:
    """The drawing as SVG, `WIDTH` wide; what a trim would leave out is shaded."""
    unit, high = WIDTH / max(1, rows), LANE * max(1, len(lanes))
    parts = []
    for i, lane in enumerate(lanes):
        top = i * LANE
        parts.append(
            f'<rect x="0" y="{top + 1}" width="{WIDTH}" height="{LANE - 2}" fill="{lane.color}" opacity="0.1"/>'
        )
        for first, last in lane.rows[:MOST_SPANS]:
            width = max(3.0, (last + 1 - first) * unit)
            parts.append(
                f'<rect x="{first * unit:.1f}" y="{top + 1}" width="{width:.1f}" height="{LANE - 2}"'
                f' fill="{lane.color}" opacity="0.75"/>'
            )
        words = lane.words if len(lane.words) <= LONGEST else f"{lane.words[: LONGEST - 1]}…"
        parts.append(
            f'<text x="6" y="{top + LANE - 6}" font-size="{LETTER}" fill="currentColor" stroke="var(--halo)"'
            f' stroke-width="3" paint-order="stroke">{escape(words)}</text>'
        )
    first, last = trim
    for begin, end in ((0, first), (last + 1, rows)):
        if end > begin:
            parts.append(
                f'<rect x="{begin * unit:.1f}" y="0" width="{(end - begin) * unit:.1f}" height="{high}"'
                ' fill="#808080" opacity="0.45"/>'
            )
    return "".join(parts)


class Timeline:
    """The axis in a page.

    Args:
        track: the episode.
        jump: goes to a row.
    """

    def __init__(self, track: Track, jump: Callable[[int], None]) -> None:
        self._track, self._jump = track, jump
        self._trim = (0, max(0, track.rows - 1))
        self._lanes: list[Lane] = []
        self._area = ui.element("div").classes("w-full")
        self.show(None)

    def show(self, verdict: Verdict | None) -> None:
        """Draw anew with what a check said."""
        self._lanes = lanes_of(self._track, verdict)
        self._area.clear()
        if not self._lanes:
            return
        size = (WIDTH, LANE * len(self._lanes))
        with self._area:
            self._image = ui.interactive_image(size=size, on_mouse=self._clicked, events=["click"], sanitize=False)
        self._image.classes("w-full cursor-pointer bg-[#f3f5f7] dark:bg-[#1d2226]")
        self._image.classes("[--halo:#ffffff] dark:[--halo:#14181b]").props("data-testid=timeline")
        words = "; ".join(lane.words for lane in self._lanes)
        self._image.props("role=img")
        self._image.props["aria-label"] = f"time axis: {words[:600]}"
        self._draw()

    def trim(self, first: int, last: int) -> None:
        """Shade what a trim would leave out."""
        self._trim = (first, last)
        self._draw()

    def _draw(self) -> None:
        if self._lanes:
            self._image.set_content(drawn(self._lanes, self._track.rows, self._trim))

    def _clicked(self, event: MouseEventArguments) -> None:
        self._jump(int(event.image_x / WIDTH * self._track.rows))
