"""Cameras as large pictures, each with its rate, age and skew written on it."""

from __future__ import annotations

from nicegui import ui

from vgil_ros.core.contract import Contract
from vgil_ros.web.cameras.hub import FrameHub
from vgil_ros.web.link import RobotView

MOST_STREAMS = 4  # of the six connections that a browser opens
OLD_MS = 250.0  # a picture that is older is spoken of


class CameraGrid:
    """All colour cameras of a robot.

    A browser opens six connections to a server: a second tab, or a robot with many cameras, asks for single pictures
    instead of streams, so that there is always one left for the page itself.

    Args:
        contract: the robot.
        hub: its pictures.
        session: whose browser it is.
        columns: side by side at most.
    """

    def __init__(self, contract: Contract, hub: FrameHub, session: str, columns: int = 2) -> None:
        self._hub = hub
        self._count = 0
        self._asked: dict[str, ui.element] = {}  # pictures that are asked for one by one
        self._words: dict[str, ui.label] = {}
        cameras = [camera for camera in contract.cameras if not camera.is_depth]
        self._rate = {camera.name: contract.rate_hz for camera in cameras}
        columns = min(columns, max(1, len(cameras)))
        streams = hub.streams(session) + len(cameras) <= MOST_STREAMS
        with ui.element("div").classes("grid gap-1 w-full").style(f"grid-template-columns: repeat({columns}, 1fr)"):
            for camera in cameras:
                shape = f"aspect-ratio: {camera.width} / {camera.height}"
                with ui.element("figure").classes("relative m-0 bg-black rounded overflow-hidden").style(shape):
                    picture = ui.element("img").classes("w-full h-full object-contain")
                    picture.props(f'alt="{camera.name}, live"')
                    if streams:
                        picture.props(f'src="/camera/{camera.name}.mjpg"')
                    else:
                        self._asked[camera.name] = picture
                    caption = ui.label(camera.name)
                    caption.classes("absolute left-0 bottom-0 px-2 py-0.5 text-sm text-white bg-black/60 rounded-tr")
                    self._words[camera.name] = caption

    def show(self, view: RobotView) -> None:
        """Write rate, age and skew on each."""
        self._count += 1
        for name, picture in self._asked.items():
            picture.props(f'src="/camera/{name}.jpg?{self._count}"')
        for name, label in self._words.items():
            words, bad = self._say(name, view)
            label.set_text(words)
            label.classes(add="bg-red-700", remove="bg-black/60") if bad else label.classes(
                add="bg-black/60", remove="bg-red-700"
            )

    def _say(self, name: str, view: RobotView) -> tuple[str, bool]:
        parts, bad = [name], False
        for node in ("recorder", "policy"):
            status = view.statuses.get(node)
            rate = status.number(f"rate_hz_{name}") if status is not None else None
            if status is None or rate is None:
                continue
            parts.append(f"{rate:.0f} Hz")
            bad = rate == 0.0
            if (p99 := status.number(f"skew_p99_ms_{name}")) is not None:
                parts.append(f"skew p99 {p99:.0f} ms")
            break
        picture = self._hub.newest(name)
        if picture is None:
            parts.append("no picture yet")
        elif 0 <= picture.age_ms < 60_000:
            parts.append(f"{picture.age_ms:.0f} ms old")
            bad = bad or picture.age_ms > OLD_MS
        return " · ".join(parts), bad
