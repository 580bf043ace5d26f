"""Leading an arm from a browser: its hand is asked for twenty times a second, and the leader is told, or told to stand.

The browser is asked again and again whether it is there, has the keyboard, and what its gamepad does. An answer that
does not come in time stops the arm, as the loss of control does; a page that is gone is stopped so too, and where `web`
itself is killed, jog's dead-man stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np
from nicegui import Client

from vgil_ros.core.contract import Contract
from vgil_ros.robots.jog.gamepad import PRESETS, Pad, PadMap
from vgil_ros.robots.transforms import pose_rpy
from vgil_ros.web.link import Answer, ArmView, RobotLink
from vgil_ros.web.pages.frame import Page
from vgil_ros.web.parts.robot_scene import RobotScene
from vgil_ros.web.teach.browser_pad import ASK, BrowserState, browser_state
from vgil_ros.web.teach.hand import Hand, Leader, Wish

PERIOD_S = 0.05
PATIENCE_S = 0.5  # so long after a browser's answer the arm goes on; then it stands until the next one
GONE_S = 3.0  # what was held before so long a silence counts as let go
CONNECT_S = 60.0
IDLE_S = 0.5  # between two questions while nothing is held and there is no gamepad
DEADZONE = 0.15


def led_arms(contract: Contract) -> list[str]:
    """The arms that jog can lead: those with a master and a URDF."""
    return [arm.name for arm in contract.arms if arm.master is not None and arm.urdf]


class Leading:
    """One browser's hand on the robot's leaders.

    Args:
        page: the browser.
        link: the robot.
        hand: what it holds; changed by keys, buttons and scene.
        scene: that knows where grippers are.
        command: called with a command of jog's that a gamepad's button means.

    Attributes:
        words: why nothing moves although something is held; "".
        pad: the gamepad's name; "" for none.
        moving: whether the leader was told to move last.
    """

    def __init__(
        self, page: Page, link: RobotLink, hand: Hand, scene: RobotScene, command: Callable[[str], None]
    ) -> None:
        self._page, self._link, self.hand, self._scene, self._command = page, link, hand, scene, command
        axes, buttons, _ = PRESETS["gamepad"]
        self._pad = Pad(PadMap.parse(axes, buttons), DEADZONE)
        self._arms = {arm.name: arm for arm in link.contract.arms}
        self._wake = asyncio.Event()
        self.words, self.pad, self.moving = "", "", False
        self._state: BrowserState | None = None  # as it was told last, and when
        self._heard_s = float("-inf")
        self._leads = False  # control was taken to lead
        self._told = ""

    def now(self) -> float:
        """The page's clock, s."""
        return self._page.site.clock()

    def wake(self) -> None:
        """Something is held, or is no longer: the browser told of it, so it is there."""
        self._heard_s = self.now()
        self._wake.set()

    async def run(self) -> None:
        """Go on until the browser is gone."""
        client = self._page.client
        asking = asyncio.create_task(self._keep_asking(client))
        try:
            while not client.is_deleted and not asking.done():
                silent_s = self.now() - self._heard_s
                if silent_s > GONE_S or not client.has_socket_connection:
                    self.hand.release()
                fresh = silent_s <= PATIENCE_S and client.has_socket_connection
                self._turn(self._state if fresh else None)
                await self._pause(PERIOD_S)
        finally:
            asking.cancel()
            self._stand(there=False)

    async def _keep_asking(self, client: Client) -> None:
        """Ask the browser how it is, again and again. An answer counts from when it came, however late it is."""
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await client.connected(timeout=CONNECT_S)
        while not client.is_deleted:
            if not client.has_socket_connection:
                await asyncio.sleep(PERIOD_S)
                continue
            with contextlib.suppress(TimeoutError, RuntimeError):
                state = browser_state(await client.run_javascript(ASK, timeout=GONE_S))
                if state is not None:
                    self._state, self._heard_s = state, self.now()
                    self._page.site.control.heard(self._page.visitor, self._heard_s)
            await self._pause(PERIOD_S)

    def _turn(self, state: BrowserState | None) -> None:
        """One turn: what is held becomes a word to the leader."""
        if self.hand.holds and (why := self._page.site.control.hindrance(self._page.visitor, self.now())) is not None:
            self._refuse(why)  # at once, however slowly the browser answers
            return
        if state is None:
            silent = self.hand.holds and self.now() - self._heard_s > IDLE_S + PATIENCE_S
            self.words = "the browser does not answer: the arm stands" if silent else ""
            self._stand(there=False)
            return
        if not state.focused:
            self.hand.release()  # keys that go up now are told to another window
        self._take_pad(state)
        leader = self.leader()
        wish = self.hand.wish(self._page.site.clock(), leader)
        if wish is None:
            self.words = self._told = ""
            self._stand()
        elif (why := self._may()) is not None:
            self._refuse(why)
        else:
            self.words = ""
            self._lead(wish)

    def _refuse(self, why: str) -> None:
        self.words = why
        self.hand.release()
        self._stand()
        if why != self._told:
            self._told = why
            self._page.tell(Answer(False, why))

    def _take_pad(self, state: BrowserState) -> None:
        self.pad = state.pad
        if not state.pad or not state.focused:
            self._pad.release()
            self.hand.stick = self._pad.stick
            return
        for command in self._pad.read(state.axes, state.buttons):
            self._command(command)
        self.hand.stick = self._pad.stick

    def _may(self) -> str | None:
        site = self._page.site
        return site.control.take(self._page.visitor, site.clock(), leading=True)

    def _lead(self, wish: Wish) -> None:
        self.moving = self._leads = True
        self._link.lead(wish.arm, wish.twist, wish.gripper, wish.frame)

    def _stand(self, *, there: bool = True) -> None:
        """The leader stands at once. One whose browser is not there counts as leading still: it loses control soon."""
        if self.moving:
            self._link.lead(self.hand.arm, np.zeros(6), None, self.hand.frame)
        self.moving = False
        if self._leads and there:
            self._leads = False
            site, visitor = self._page.site, self._page.visitor
            holder = site.control.leading(site.clock())
            if holder is not None and holder.session == visitor.session:
                site.control.take(visitor, site.clock(), leading=False)

    async def _pause(self, period_s: float) -> None:
        """Until the next turn; while nothing is held and there is no gamepad, until something is, or for a while."""
        if self.hand.holds or self.moving:
            await asyncio.sleep(period_s)
            return
        self._wake.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wake.wait(), period_s if self.pad else IDLE_S)

    # where the leader is

    def leader(self) -> Leader:
        """Where the chosen arm's leader is."""
        view = self._page.site.view().arms.get(self.hand.arm, ArmView())
        tip = self.tip(view)
        return Leader(None if tip is None else self.in_base(tip), self._opening(view))

    def tip(self, view: ArmView) -> np.ndarray | None:
        """(3,) m of the chosen arm's gripper in the scene; None where that is not known."""
        position = view.master if view.master is not None else view.measured
        if position is None:
            return None
        tip = self._scene.tip(self.hand.arm, position)
        return tip if np.isfinite(tip).all() else None

    def in_base(self, point: np.ndarray) -> np.ndarray:
        """A point (3,) m of the scene, in the axes of the chosen arm's base; only differences are of use."""
        mount = self._arms[self.hand.arm].mount
        rotation = pose_rpy(mount.xyz, mount.rpy)[:3, :3]
        turned: np.ndarray = rotation.T @ point
        return turned

    def _opening(self, view: ArmView) -> float | None:
        arm = self._arms[self.hand.arm]
        if arm.gripper is None:
            return None
        column = arm.joints.index(arm.gripper.joint)
        if view.master is not None:
            raw, (closed, opened) = view.master[column], arm.gripper.master_range
        elif view.measured is not None:
            raw, (closed, opened) = view.measured[column], arm.gripper.puppet_range
        else:
            return None
        return float(np.clip((raw - closed) / (opened - closed), 0.0, 1.0))
