"""The page's watch over a policy: statuses and joints sampled once for all viewers, and the checks that were made."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.web.acting.check import Verdict, check, version_of
from vgil_ros.web.acting.history import PolicyHistory
from vgil_ros.web.acting.tally import Tally
from vgil_ros.web.link import Answer, PolicyOrder, RobotView
from vgil_ros.web.site import Site

SAMPLE_S = 0.2  # a status comes as often
FRESH_S, GONE_S = 1.0, 5.0  # what is older says nothing of now; and whose status is so old runs no more
TRAIL_S = 4.0  # of measured joints
NODE = "policy"


@dataclass(frozen=True, eq=False)
class TrailPoint:
    """Measured joints of all arms (J,), NaN where an arm is not heard, at a time."""

    at_s: float
    measured: np.ndarray


class PolicyWatch:
    """Collects what the page shows of a policy.

    Args:
        site: whose robot.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.history, self.tally = PolicyHistory(), Tally()
        self.trail: deque[TrailPoint] = deque()
        self.verdicts: dict[str, Verdict] = {}
        self.checking: str | None = None

    def sample(self) -> None:
        """Look once at the robot; to be called every `SAMPLE_S`."""
        if self.site.link is not None:
            self.saw(self.site.clock(), self.site.view())

    def saw(self, now_s: float, view: RobotView) -> None:
        """Take what is known of the robot at a time."""
        status = view.statuses.get(NODE)
        if status is None or status.age_s > GONE_S:
            self.history.silent(now_s)
            self.tally.silent()
        elif status.age_s < FRESH_S:
            self.history.saw(now_s, status.values)
            self.tally.saw(status.values)
        self._follow(now_s, view)

    def _follow(self, now_s: float, view: RobotView) -> None:
        link = self.site.link
        if link is None:
            return
        parts = []
        for arm in link.contract.arms:
            seen = view.arms.get(arm.name)
            heard = seen is not None and seen.measured is not None and (seen.age_s or 0.0) < FRESH_S
            parts.append(seen.measured if heard and seen is not None else np.full(len(arm.joints), np.nan))
        self.trail.append(TrailPoint(now_s, np.concatenate([np.asarray(part, float) for part in parts])))
        while self.trail and now_s - self.trail[0].at_s > TRAIL_S:
            self.trail.popleft()

    def verdict(self, checkpoint: str) -> Verdict | None:
        """The check of a checkpoint as it lies there now; None where it is to be made. Reads the disk."""
        found = self.verdicts.get(checkpoint)
        return found if found is not None and found.version == version_of(checkpoint) else None

    async def check(self, checkpoint: str) -> Answer:
        """Hold a checkpoint against the robot, one at a time.

        Raises:
            VgilError: another check is under way, or there is no robot.
        """
        if self.checking is not None:
            raise VgilError(f"{self.checking} is being checked; allowed once that is done")
        robot = self.site.robot().robot
        self.checking = checkpoint
        try:
            verdict = self.verdicts[checkpoint] = await check(checkpoint, robot)
        finally:
            self.checking = None
        name = self.site.robot().contract.name
        if verdict.fits:
            return Answer(True, f"it fits {name}")
        return Answer(False, f"it does not fit {name}: {'; '.join(verdict.wrong)}")

    async def load(self, order: PolicyOrder) -> Answer:
        """Start a policy whose checkpoint fits the robot; one that was written anew is checked anew.

        Raises:
            VgilError: it does not fit, or a policy runs already.
        """
        if self.verdict(order.checkpoint) is None:
            await self.check(order.checkpoint)
        verdict = self.verdict(order.checkpoint)
        if verdict is None or not verdict.fits:
            raise VgilError(f"{order.checkpoint} does not fit this robot; allowed: one that does")
        return await self.site.robot().start_policy(order)

    async def reload(self, order: PolicyOrder) -> Answer:
        """End the policy that the page started, and start another in its place."""
        run = self.site.robot().policy_run()
        if run is not None and run.alive:
            await self.site.robot().end_policy()
        return await self.load(order)
