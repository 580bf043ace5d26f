"""The page Teach: cameras and the robot large, the controls below, the recorder in a row, and the newcomer's way."""

from __future__ import annotations

from nicegui import background_tasks, ui

from vgil_ros.web.link import Answer, RobotLink, RobotView
from vgil_ros.web.pages.frame import Page, frame
from vgil_ros.web.pages.teach.drag import DraggedGripper
from vgil_ros.web.pages.teach.keys import Keys, unfocused
from vgil_ros.web.pages.teach.leading import Leading, led_arms
from vgil_ros.web.pages.teach.pad import ControlPad
from vgil_ros.web.pages.teach.recorder_row import RecorderRow
from vgil_ros.web.parts.cameras import CameraGrid
from vgil_ros.web.parts.robot_scene import RobotScene
from vgil_ros.web.parts.way_bar import way_bar
from vgil_ros.web.runs.way import FactFinder
from vgil_ros.web.site import NO_ROBOT, Site
from vgil_ros.web.teach.hand import Hand

SHOW_S = 0.15
MOST_SEED = 2**31 - 1
HOW = "hold a key, a button, a gamepad's stick (with its right front button) or the ball at the gripper"
START = "vgil launch record.launch.py robot:=sim_single sim:=true web:=true leader:=page dataset_dir:=episodes"
RELEASED = "released"  # teleop's state: leaders move nothing


def teach_page(site: Site, finder: FactFinder) -> None:
    """Put the page at `/teach`."""

    @ui.page("/teach", title="Teach")
    def page() -> None:
        with frame(site, "/teach") as shown:
            way_bar(site, finder, "/teach")
            if site.link is None:
                with ui.column().classes("p-4 gap-2"):
                    ui.label(NO_ROBOT).classes("text-lg")
                    ui.label(f"a simulated one: {START}").classes("font-mono")
                return
            if not led_arms(site.link.contract):
                ui.label("no arm of this robot can be led from here: none has both a master and a urdf").classes("p-4")
                return
            TeachView(shown, site.link)


class TeachView:
    """The page's contents.

    Args:
        page: in which browser.
        link: the robot.
    """

    def __init__(self, page: Page, link: RobotLink) -> None:
        self._page, self._link = page, link
        self.hand = Hand(led_arms(link.contract))
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-[5fr_2fr] gap-2 px-2 w-full"):
            with ui.element("div").classes("min-w-0"):
                self._cameras = CameraGrid(link.contract, page.site.hub, page.visitor.session)
            with ui.card().classes("min-w-0 p-0 overflow-hidden").props("flat bordered"):
                scene = RobotScene(link.contract, height="min(46vh, 23rem)")
        self.leading = Leading(page, link, self.hand, scene, self._command)
        self._drag = DraggedGripper(scene, self.leading)
        self._banner()
        with ui.card().classes("mx-2 mt-2 px-4 py-3 gap-3").props("flat bordered"):
            self._recorder = RecorderRow(page)
            ui.separator()
            with ui.row().classes("items-end gap-8 w-full"):
                self._pad = ControlPad(self.leading)
                self._scene_reset()
        Keys(self.leading, self._command, self._recorder.do)
        background_tasks.create(self.leading.run(), name="lead")
        page.every(SHOW_S, self._show)

    def _command(self, name: str) -> None:
        with self._page.client:
            self._pad.command(name)

    def _banner(self) -> None:
        with ui.row().classes("items-center gap-3 px-4 pt-2 w-full no-wrap").props("role=status"):
            self._dot = ui.icon("pan_tool", color="grey").classes("text-3xl")
            self._words = ui.label(HOW).classes("text-lg grow").props("data-testid=teach-words")
            self._gamepad = ui.chip("no gamepad", icon="sports_esports").props("outline")
            self._resume = ui.button("Follow the leader again", icon="play_arrow", on_click=self._follow)
            unfocused(self._resume).props("no-caps unelevated").set_visibility(False)

    async def _follow(self) -> None:
        await self._page.call("teleop/start")

    def _scene_reset(self) -> None:
        """The number of the scene, and what makes it: of a simulator alone."""
        with ui.column().classes("gap-1").props('role=group aria-label="scene"') as self._scene_box:
            ui.label("scene").classes("text-xs uppercase tracking-wide opacity-80")
            with ui.row().classes("items-center gap-2 no-wrap"):
                self._seed = ui.number("seed", value=0, min=0, max=MOST_SEED, precision=0).classes("w-24")
                self._seed.props('dense outlined aria-label="seed of the scene"').props("data-testid=seed")
                self._seed.on("keydown.enter", self._reset, [])
                self._seed.on("focus", self.hand.release, [])  # keys are the field's from here on
                button = unfocused(ui.button("Reset", icon="restart_alt", on_click=self._reset))
                button.props('outline no-caps aria-label="reset the scene with this seed"').props("data-testid=reset")
                button.tooltip("each episode that begins afterwards takes the next seed")

    async def _reset(self) -> None:
        self.hand.release()
        if self._recorder.recording:
            self._page.tell(Answer(False, "an episode is being recorded; allowed once it is stopped or discarded"))
            return
        value = self._seed.value
        seed = None if value is None else int(value)
        if seed is not None and not 0 <= seed <= MOST_SEED:
            self._page.tell(Answer(False, f"seed is {seed}; allowed: 0 to {MOST_SEED}"))
            return
        await self._page.act(lambda: self._link.reset(seed))
        with self._page.client:
            ui.run_javascript("document.activeElement.blur()")  # keys are the arm's again

    def _show(self) -> None:
        view = self._page.site.view()
        self._drag.show(view)
        self._recorder.show(view)
        self._cameras.show(view)
        self._scene_box.set_visibility("sim/reset" in view.services)
        self._gamepad.set_text(self.leading.pad[:24] or "no gamepad")
        released = _state(view, "teleop") == RELEASED
        self._resume.set_visibility(released)
        words, color = self._how_it_stands(view, released)
        self._words.set_text(words)
        self._dot.props(f"color={color}")
        opening = self.leading.leader().opening
        if opening is not None and not self.hand.holds and abs(100 * opening - self._pad.slider.value) > 2:
            self._pad.slider.value = round(100 * opening)

    def _how_it_stands(self, view: RobotView, released: bool) -> tuple[str, str]:
        """In words, and a colour."""
        jog = view.statuses.get("jog")
        if self.leading.words:
            return self.leading.words, "negative"
        if jog is None:
            return "the node jog is not heard: start with leader:=page", "negative"
        if released:
            return "the arm was let go of: it follows nobody", "negative"
        if jog.values.get("state") != "leading":
            return jog.message, "warning"
        if self.leading.moving:
            near = jog.message if "slowed" in jog.message or "stands" in jog.message else f"{self.hand.arm} moves"
            return near, "positive"
        return HOW, "primary"


def _state(view: RobotView, node: str) -> str:
    status = view.statuses.get(node)
    return "" if status is None else status.values.get("state", "")
