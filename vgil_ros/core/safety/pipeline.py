"""The list of limits between chunk execution and publishing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety.acceleration import AccelerationLimit
from vgil_ros.core.safety.base import BaseLimit
from vgil_ros.core.safety.entry import ArmSilence, Entry
from vgil_ros.core.safety.estop import EstopLimit, FaultLimit
from vgil_ros.core.safety.finite import FiniteLimit
from vgil_ros.core.safety.following import FollowingLimit
from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.safety.position import PositionLimit
from vgil_ros.core.safety.readings import ReadingsLimit
from vgil_ros.core.safety.soft_start import SoftStartLimit
from vgil_ros.core.safety.stale import StaleLimit
from vgil_ros.core.safety.types import Command, Floats, Hold, Outcome, Pass, SafetyContext, SafetyEvent, SafetyLimit
from vgil_ros.core.safety.velocity import VelocityLimit
from vgil_ros.core.safety.watchdog import WatchdogLimit

STANDS = 1e-9  # rad, or of a gripper's travel: a command that moves by less in a tick has come to where it stays


class SafetyPipeline:
    """Runs every limit over the command of each tick. The order is the list's: see `standard_limits`.

    A Hold replaces the command with the one before, base at rest, and the limits after it still apply: a moving joint
    is braked where acceleration is limited. Once nothing holds any more, the soft start takes the robot back.
    """

    def __init__(
        self,
        joints: JointLimits,
        limits: Sequence[SafetyLimit],
        has_base: bool = False,
        entry: Entry | None = None,
        silence: ArmSilence | None = None,
    ) -> None:
        """`has_base`: commands carry a base velocity (one that is missing counts as rest); `entry`: where to begin;
        `silence`: which arms are heard, all if left out."""
        names = [limit.name for limit in limits]
        if len(set(names)) != len(names):
            raise VgilError(f"safety: doubled names among the limits {', '.join(names)}")
        self._joints, self._limits, self._has_base = joints, tuple(limits), has_base
        self._entry = entry or Entry(joints)
        self._silence = silence or ArmSilence({}, {})
        self.counts: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Start again from where the robot is measured to be. The counts go on."""
        self._last: Command | None = None
        self._velocity = np.zeros(len(self._joints.names))
        self._silence.reset()
        for limit in self._limits:
            limit.reset()

    def step(self, command: Command | None, context: SafetyContext) -> Outcome:
        """Judge one tick's command; None is that there is no action for it, and holds."""
        asked = None if command is None else self._complete(command)
        last = self._last if self._last is not None else self._begin(context.measured)
        if isinstance(last, SafetyEvent):
            return self._finish(None, [last], True)
        last, returned = self._take_back(last, context)
        context = context.within(last=last, velocity=self._velocity, holding=returned is not None)
        safe, safety_events, holding = self._judge(asked, last, context)
        if returned is not None:
            safety_events.insert(0, returned)
        before, self._velocity = self._velocity, (safe.positions - last.positions) / context.period_s
        self._last = safe
        settling = holding and self._moves(before, context.period_s)
        return self._finish(safe, safety_events, holding, settling)

    def _take_back(self, last: Command, context: SafetyContext) -> tuple[Command, SafetyEvent | None]:
        """The command before, with joints that were not heard for a while at where they are now."""
        far = self._silence.look(context, last.positions)
        if far is None:
            return last, None
        begin = self._begin(context.measured)
        if isinstance(begin, SafetyEvent):
            self._silence.keep(far)
            return last, begin
        joints = self._joints.named(far)
        most = np.abs(begin.positions - last.positions)[far].max()
        self._velocity = np.where(far, 0.0, self._velocity)
        self._last = self._complete(Command(np.where(far, begin.positions, last.positions)))
        words = f"{', '.join(joints)} heard again, up to {most:.3g} from where last commanded: begins from there"
        return self._last, SafetyEvent("returned", words, joints)

    def _moves(self, before: Floats, period_s: float) -> bool:
        """Whether the command moves, or did in the tick before: it also stands for one where a joint turns round."""
        fastest = max(np.abs(before).max(initial=0.0), np.abs(self._velocity).max(initial=0.0))
        return bool(fastest * period_s > STANDS)

    def _judge(
        self, command: Command | None, last: Command, context: SafetyContext
    ) -> tuple[Command, list[SafetyEvent], bool]:
        """Every limit in turn, also after a Hold: all reasons are told, and the limits of motion still apply."""
        stay = self._complete(Command(last.positions))
        safety_events: list[SafetyEvent] = []
        if command is None:
            safety_events.append(SafetyEvent("no_action", f"no action for tick {context.tick}"))
        if command is None or context.holding:
            command, context = stay, context.within(holding=True)
        for limit in self._limits:
            verdict = limit.apply(command, context)
            if not isinstance(verdict, Pass):
                safety_events.append(SafetyEvent(limit.name, verdict.reason, verdict.joints))
            if isinstance(verdict, Hold):
                where = verdict.positions
                command = stay if where is None else self._complete(Command(where))
                context = context.within(holding=True)
            else:
                command = verdict.command
        return command, safety_events, context.holding

    def _complete(self, command: Command) -> Command:
        """The command with as many joints and the base that this robot has."""
        count, expected = len(command.positions), len(self._joints.names)
        if count != expected:
            raise VgilError(f"command: found {count} positions, expected {expected}, one a joint")
        if command.base is not None and not self._has_base:
            raise VgilError("command: found a base velocity, but the robot has no base")
        if self._has_base and command.base is None:
            return Command(command.positions, np.zeros(2))
        return command

    def _begin(self, measured: Floats | None) -> Command | SafetyEvent:
        """Where to begin, or why that cannot be said."""
        begin = self._entry.begin(measured)
        return begin if isinstance(begin, SafetyEvent) else self._complete(Command(begin))

    def _finish(
        self, command: Command | None, safety_events: Iterable[SafetyEvent], holding: bool, settling: bool = False
    ) -> Outcome:
        outcome = Outcome(command, tuple(safety_events), holding, settling, self._silence.streams)
        for event in outcome.safety_events:
            self.counts[event.name] += 1
        return outcome


def standard_limits(
    joints: JointLimits,
    max_age_ns: Mapping[str, int],
    max_silence_ns: int = 200_000_000,
    base: tuple[float, float] | None = None,
    soft_start: float = 0.2,
    largest_step_s: float = 0.05,
    following: FollowingLimit | None = None,
) -> list[SafetyLimit]:
    """Every limit, in the order that makes them hold together.

    First what may hold; then the target is put within reach (position, soft start); then the motion towards it is
    limited, acceleration before velocity, neither of which leaves the position limits; the base is by itself.
    `max_age_ns` is for each stream that the policy sees, `base` (m/s, rad/s) where there is one, `soft_start` and
    `largest_step_s` as in SoftStartLimit; `following` after the holds that excuse a joint from it.
    """
    limits: list[SafetyLimit] = [
        EstopLimit(),
        FaultLimit(),
        ReadingsLimit(),
        StaleLimit(max_age_ns),
        WatchdogLimit(max_silence_ns),
        *([following] if following is not None else []),
        FiniteLimit(joints),
        PositionLimit(joints),
        SoftStartLimit(joints, soft_start, largest_step_s),
    ]
    if joints.acceleration is not None:
        limits.append(AccelerationLimit(joints, joints.acceleration))
    limits.append(VelocityLimit(joints))
    if base is not None:
        limits.append(BaseLimit(*base))
    return limits
