"""Human takeover of a running policy: who has the arms, and how they change hands without a step. No I/O, no clock.

POLICY --take--> ALIGNING --aligned--> HUMAN --hand_back--> RETURNING --met--> POLICY
                    ^  (a master is silent, or a limit held: aligned anew)

Whoever has the arms only asks: every command goes through the one safety pipeline. Both ways the command begins where
the last one was. To the human it goes by the law of teleoperation (`core.leader_follower`), at a quarter of the
velocity limits until the masters are met; a gripper stays at its last command until its master's moves away from that
(`GRIP_MOVED`), so that what the policy holds stays held. Back to the policy it goes after the policy's action, at first
as slowly, and up to the whole of the limits within `BACK_NS`. No tick asks for more than the velocity limits, whatever
the two do.

Source: Kelly, Sidrane, Driggs-Campbell and Kochenderfer, "HG-DAgger: Interactive Imitation Learning with Human Experts"
(arXiv:1810.02890), for who decides. The robot's way to the master, which is nobody's demonstration, is told apart from
the human's own rows here; there both count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.leader_follower import ALIGN_SPEED, FollowerController, Phase, follower_of
from vgil_ros.core.safety import Command

BACK_NS = 1_000_000_000  # from when the policy's first action after a hand-back is there until it may go at full speed
MET = 1e-9  # rad: the policy's action is what is commanded

Reading = tuple[np.ndarray, int]  # positions (J,) in units of the action, and when they were measured


class Actor(IntEnum):
    """Who has the arms; the numbers stand in recorded rows (`/actor`)."""

    POLICY = 0
    ALIGNING = 1  # on the way to the masters, or holding where one is silent
    HUMAN = 2
    RETURNING = 3  # on the way to the policy's action, or holding until it is there

    @property
    def words(self) -> str:
        """As statuses have it."""
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Decision:
    """What a tick asks for, and who asks.

    Attributes:
        actor: who has the arms.
        command: what is asked for; None holds.
        policy: (J,) the policy's action of this tick, executed or not; None where it has none.
        human: (J,) the masters' positions, NaN for arms without a fresh one; None while nobody listens to them.
        waits: in words, what the hand-over waits for; "" where it waits for nothing.
    """

    actor: Actor
    command: Command | None
    policy: np.ndarray | None = None
    human: np.ndarray | None = None
    waits: str = ""

    @property
    def intervention(self) -> bool:
        """Whether the command is the human's."""
        return self.actor is Actor.HUMAN


class Takeover:
    """Decides who has the arms.

    Args:
        layout: the robot; arms without a master that a node of ours may move hold while the human leads.

    Attributes:
        actor: who has them.
        arms: indices of the arms that have a master; readings come in their order.

    Raises:
        VgilError: no arm has a master.
    """

    def __init__(self, layout: Layout) -> None:
        led = [(i, a) for i, a in enumerate(layout.arms) if a.arm.master and not a.arm.driver_follows_master]
        if not led:
            raise VgilError(f"robot '{layout.contract.name}': no arm has a master; takeover needs one: arms[].master")
        self.arms = tuple(i for i, _ in led)
        self._names = [arm.arm.name for _, arm in led]
        self._parts = [arm.columns for _, arm in led]
        self._followers: list[FollowerController] = [follower_of(layout, a, gentle=True, watched=False) for _, a in led]
        self._lower, self._upper = layout.lower, layout.upper
        velocity = layout.limit("velocity")
        assert velocity is not None
        self._velocity = velocity
        self.reset()

    def reset(self) -> None:
        """An episode begins: the policy has the arms."""
        self.actor = Actor.POLICY
        self._back_since_ns: int | None = None
        self._align()

    def _align(self) -> None:
        for follower in self._followers:
            follower.scene_was_reset()

    def take(self) -> bool:
        """The human wants the arms; False where they are the human's already."""
        if self.actor in (Actor.ALIGNING, Actor.HUMAN):
            return False
        self.actor = Actor.ALIGNING
        self._align()
        return True

    def hand_back(self) -> bool:
        """The human gives the arms back; False where the policy has them, or is about to."""
        if self.actor in (Actor.POLICY, Actor.RETURNING):
            return False
        self.actor, self._back_since_ns = Actor.RETURNING, None
        return True

    @property
    def led(self) -> bool:
        """Whether the human's side commands: what the policy says is only watched."""
        return self.actor in (Actor.ALIGNING, Actor.HUMAN)

    def held(self) -> None:
        """A limit held the robot in this tick: the masters are aligned with anew, the policy's action met anew."""
        self._back_since_ns = None
        if self.led:
            self.actor = Actor.ALIGNING
            self._align()

    def decide(
        self,
        now_ns: int,
        period_s: float,
        last: np.ndarray,
        proposal: Command | None,
        masters: Sequence[Reading | None],
    ) -> Decision:
        """Return what to ask for in this tick.

        Args:
            now_ns: the time.
            period_s: since the command before.
            last: (J,) that command; where the robot is measured to be, before any.
            proposal: the policy's action of this tick.
            masters: newest reading of each of `arms`; None before the first, and while its readings are refused.
        """
        policy = None if proposal is None else proposal.positions
        human = self._human(now_ns, masters)
        if self.led:
            target, waits = self._follow(now_ns, period_s, last, masters)
            return Decision(self.actor, Command(target), policy, human, waits)
        if self.actor is Actor.RETURNING:
            target, waits = self._return(now_ns, period_s, last, policy)
            return Decision(Actor.RETURNING, Command(target), policy, human, waits)
        return Decision(Actor.POLICY, proposal, policy, human)

    def _human(self, now_ns: int, masters: Sequence[Reading | None]) -> np.ndarray:
        values = np.full(len(self._lower), np.nan)
        for part, follower, reading in zip(self._parts, self._followers, masters, strict=True):
            if reading is not None and 0 <= now_ns - reading[1] <= follower.stale_ns:
                values[part] = reading[0]
        return values

    def _follow(
        self, now_ns: int, period_s: float, last: np.ndarray, masters: Sequence[Reading | None]
    ) -> tuple[np.ndarray, str]:
        """The followers' targets; an arm whose master is silent stays where it was commanded."""
        target = last.copy()
        waits = []
        for name, part, follower, master in zip(self._names, self._parts, self._followers, masters, strict=True):
            step = follower.step(now_ns, period_s, master, (last[part], now_ns))
            if step is not None:
                target[part] = step
            elif master is None:
                waits.append(f"{name}: nothing to go by from its master")
            else:
                waits.append(f"{name}: its master is silent for {(now_ns - master[1]) / 1e6:.0f} ms")
        together = all(follower.phase is Phase.FOLLOWING for follower in self._followers)
        self.actor = Actor.HUMAN if together else Actor.ALIGNING
        return target, "; ".join(waits)

    def _return(
        self, now_ns: int, period_s: float, last: np.ndarray, policy: np.ndarray | None
    ) -> tuple[np.ndarray, str]:
        """After the policy's action, faster and faster; once it is met, the policy has the arms."""
        if policy is None or not np.isfinite(policy).all():
            return last, "the policy's next action"
        if self._back_since_ns is None:
            self._back_since_ns = now_ns
        gone = min(max((now_ns - self._back_since_ns) / BACK_NS, 0.0), 1.0)
        reach = self._velocity * period_s * (ALIGN_SPEED + (1.0 - ALIGN_SPEED) * gone)
        goal = np.clip(policy, self._lower, self._upper)
        target: np.ndarray = last + np.clip(goal - last, -reach, reach)
        if np.abs(goal - target).max() <= MET:
            self.actor = Actor.POLICY
        return target, ""
