"""The site: what all pages of one server share, and the actions that they ask for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from vgil_ros.core.errors import VgilError
from vgil_ros.web.access.control import Control
from vgil_ros.web.access.visitors import Visitor
from vgil_ros.web.cameras.hub import FrameHub
from vgil_ros.web.history import History
from vgil_ros.web.host import GrowthWatch, HostFigures, HostWatch
from vgil_ros.web.link import Answer, RobotLink, RobotView, skews
from vgil_ros.web.settings import WebSettings

NO_ROBOT = "no robot: this page was started without ROS (vgil web); allowed with web:=true in a launch file"


@dataclass
class Site:
    """What the pages of a server share.

    Attributes:
        settings: where it listens, and its folders.
        link: the robot; None where the page runs without one.
        control: who may act.
        hub: camera pictures.
        clock: seconds, by a clock that nobody sets.
    """

    settings: WebSettings
    link: RobotLink | None = None
    control: Control = field(default_factory=Control)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        link = self.link
        names = [camera.name for camera in link.contract.cameras if not camera.is_depth] if link is not None else []
        self.skews = History()
        self._host, self._growth = HostWatch(), GrowthWatch(self.settings.dataset_dir)
        self._host_figures: HostFigures | None = None
        self._host_at = 0.0
        self.hub = FrameHub(names, link.watch if link is not None else lambda name, on: None)

    def view(self) -> RobotView:
        """What is known of the robot; nothing where there is none."""
        view = self.link.view() if self.link is not None else RobotView()
        self.skews.update(self.clock(), lambda: skews(view))
        return view

    def machine_words(self, view: RobotView) -> str:
        """Disk, CPU and memory in words; the same for all viewers, read at most once a second."""
        now = self.clock()
        if now - self._host_at >= 1.0:
            self._host_at, self._host_figures = now, self._host.read()
        parts = []
        recorder = view.statuses.get("recorder")
        free = recorder.number("disk_free_gb") if recorder is not None else None
        growth = self._growth.read(now)
        if free is not None:
            minutes = f", {free * 1e9 / growth / 60:.0f} minutes at {growth / 1e6:.1f} MB/s" if growth else ""
            parts.append(f"disk {free:.1f} GB free{minutes}")
        if (host := self._host_figures) is not None:
            parts.append(f"CPU {host.cpu:.1f} of {host.cores} cores")
            parts.append(f"memory {host.memory / 1e9:.1f} of {host.memory_total / 1e9:.1f} GB")
        return " · ".join(parts)

    def robot(self) -> RobotLink:
        """The robot.

        Raises:
            VgilError: where the page runs without one.
        """
        if self.link is None:
            raise VgilError(NO_ROBOT)
        return self.link

    async def act(self, visitor: Visitor, what: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do what an operator asks for, if this one may; who acts takes control that nobody has.

        Args:
            visitor: who asks.
            what: begins the action; not called where it is refused.
        """
        if (why := self.control.take(visitor, self.clock())) is not None:
            return Answer(False, why)
        try:
            return await what()
        except VgilError as error:
            return Answer(False, str(error))

    async def estop(self) -> Answer:
        """Everybody's, whoever has control."""
        if self.link is None:
            return Answer(False, NO_ROBOT)
        try:
            return await self.link.estop(True)
        except VgilError as error:
            return Answer(False, str(error))
