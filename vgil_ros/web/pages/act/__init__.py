"""Act: choose a policy, see what it would do, let it do that, and say how it went."""

from __future__ import annotations

from nicegui import app, ui

from vgil_ros.web.acting.watch import SAMPLE_S, PolicyWatch
from vgil_ros.web.pages.act.banner import Banner
from vgil_ros.web.pages.act.charts import Charts
from vgil_ros.web.pages.act.choose import Chooser
from vgil_ros.web.pages.act.drive import Drive
from vgil_ros.web.pages.act.robot import RobotPart
from vgil_ros.web.pages.frame import frame
from vgil_ros.web.site import NO_ROBOT, Site

FAST_S, SLOW_S = 0.25, 1.0  # between two looks at the robot, and at what changes slowly
COLUMNS = "grid w-full gap-3 p-3 grid-cols-1 md:grid-cols-[minmax(0,1fr)_22rem]"


def act_page(site: Site) -> None:
    """Put the page at `/act`."""
    watch = PolicyWatch(site)
    app.timer(SAMPLE_S, watch.sample)

    @ui.page("/act")
    def page() -> None:
        with frame(site, "/act") as here:
            if site.link is None:
                ui.label(NO_ROBOT).classes("text-lg p-4")
                return
            banner = Banner(here)
            with ui.element("div").classes(COLUMNS):
                with ui.column().classes("w-full gap-3 min-w-0"):
                    robot = RobotPart(here, watch)
                    charts = Charts(watch)
                with ui.column().classes("w-full gap-3"):
                    drive = Drive(here, watch)
                    chooser = Chooser(here, watch)

            def fast() -> None:
                view = site.view()
                banner.refresh(view)
                robot.refresh(view)
                drive.refresh(view)

            def slow() -> None:
                charts.refresh()
                chooser.refresh()

            here.every(FAST_S, fast)
            here.every(SLOW_S, slow)
