"""Live: every camera large, joints against their limits, the robot in 3-D, and how well everything is in step."""

from __future__ import annotations

from nicegui import ui

from vgil_ros.web.link import RobotView
from vgil_ros.web.pages.frame import frame
from vgil_ros.web.parts.cameras import CameraGrid
from vgil_ros.web.parts.colors import LEVELS
from vgil_ros.web.parts.health import SyncHealth
from vgil_ros.web.parts.joints import JointBars
from vgil_ros.web.parts.robot_scene import RobotScene
from vgil_ros.web.site import NO_ROBOT, Site

FAST_S, SLOW_S = 0.2, 1.0  # between two looks at what moves, and at figures


def live_page(site: Site) -> None:
    """Put the page at `/`."""

    @ui.page("/", title="Live - vgil_ros")
    def live() -> None:
        with frame(site, "/") as page:
            if site.link is None:
                no_robot()
                return
            contract = site.link.contract
            with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-[3fr_2fr] gap-2 w-full p-2"):
                with ui.column().classes("gap-2 min-w-0"):
                    cameras = CameraGrid(contract, site.hub, page.visitor.session)
                    health = SyncHealth(contract, site.skews)
                with ui.column().classes("gap-2 min-w-0"):
                    nodes = NodeLines()
                    scene = RobotScene(contract, "20rem")
                    joints = JointBars(contract)
                    machine = ui.label().classes("text-sm").props("data-testid=machine")

            def fast() -> None:
                view = site.view()
                cameras.show(view)
                joints.show(view)
                scene.show(view)

            def slow() -> None:
                view = site.view()
                nodes.show(view)
                health.show(view, site.clock())
                machine.set_text(site.machine_words(view))

            slow()
            page.every(FAST_S, fast)
            page.every(SLOW_S, slow)


def no_robot() -> None:
    """What a page says that needs a robot and has none."""
    with ui.row().classes("items-center gap-2 p-4"):
        ui.icon("smart_toy", size="2rem").props("aria-hidden=true")
        ui.label(NO_ROBOT).classes("text-lg")


class NodeLines:
    """A line for each node that is heard: how it is, in its own words."""

    def __init__(self) -> None:
        self._box = ui.column().classes("w-full gap-1").props('role=status aria-live=polite aria-label="nodes"')
        self._shown: list[tuple[str, int, str]] = []

    def show(self, view: RobotView) -> None:
        """Write them anew, where something has changed."""
        lines = [(name, status.level, status.message) for name, status in sorted(view.statuses.items())]
        if lines == self._shown:
            return
        self._shown = lines
        self._box.clear()
        with self._box:
            if not lines:
                ui.label("no node of the robot is heard yet").classes("text-lg")
            for name, level, message in lines:
                with ui.row().classes("items-center gap-2 no-wrap w-full"):
                    ui.badge(name, color=LEVELS[level]).classes("text-sm")
                    ui.label(message).classes("text-sm line-clamp-3").tooltip(message)
