"""Cameras at one row of an episode, a slider and play, all moved in the browser (`film.js`).

That is the one piece of JavaScript of the page. NiceGUI draws a page anew for every change that a server makes to it:
four cameras came to eight rows a second that way, on a machine that draws without a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nicegui import ui
from nicegui.events import GenericEventArguments

HIGH_VH = 52  # of the window's height, for all cameras


@dataclass(frozen=True)
class FilmCamera:
    """A camera of a film.

    Attributes:
        name: of the camera. title: what stands in its corner.
        address: of its pictures, with `{row}` where the row goes, and a query.
    """

    name: str
    title: str
    address: str


class Film(ui.element, component="film.js"):
    """The cameras of an episode.

    Args:
        cameras: in their order; there may be none.
        together: address of one small picture of all cameras, shown while it moves, with `{row}` where the row goes.
        grid: (across, down) of the cameras, here and in that picture.
        rows: T.
        rate_hz: that it plays at.
        first: row that is shown at first.

    Attributes:
        row: that is shown, as far as the browser has told: a few times a second while it moves, and where it rests.
        playing: whether it moves by itself.
    """

    def __init__(
        self,
        cameras: Sequence[FilmCamera],
        together: str,
        grid: tuple[int, int],
        rows: int,
        rate_hz: float,
        first: int = 0,
    ) -> None:
        super().__init__()
        self._last, self.playing = max(0, rows - 1), False
        self._moves = 0  # that were asked of the browser
        self.row = min(first, self._last)
        self._props["pictures"] = [asdict(camera) for camera in cameras]
        self._props["last"], self._props["rate"], self._props["first"] = self._last, rate_hz, self.row
        self._props["together"], self._props["ahead"], (across, down) = together, False, grid
        self._props["across"], self._props["down"], self._props["high"] = across, down, HIGH_VH / down
        self.classes("w-full")
        self.on("row", self._moved)
        self.on("playing", self._played)

    def fetch_ahead(self, allowed: bool) -> None:
        """Let the browser fetch rows ahead while nothing moves: it takes half a core for some seconds. Not at first."""
        if self._props["ahead"] != allowed:
            self._props["ahead"] = allowed
            self.update()

    def go(self, row: int) -> None:
        """Show a row, the nearest there is; playing ends."""
        self._ask("go", row, row)

    def step(self, rows: int) -> None:
        """Go on by some rows, or back; playing ends."""
        self._ask("step", rows, self.row + rows)  # from where the browser is by now

    def _ask(self, how: str, by: int, row: int) -> None:
        self.row = min(max(0, row), self._last)
        self._moves += 1
        self.run_method("moved", self._moves, how, by)

    def play_pause(self) -> None:
        """Play from here, or from the start where this is the end; or pause."""
        self.run_method("toggle")

    def _moved(self, event: GenericEventArguments) -> None:
        match event.args:
            case [int() | float() as row, int() as moves] if moves == self._moves:  # not one from before the last move
                self.row = min(max(0, int(row)), self._last)

    def _played(self, event: GenericEventArguments) -> None:
        self.playing = event.args is True
