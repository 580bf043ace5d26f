"""`vgil robot check`: what was heard of a robot, held against its contract, in words; go or no-go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import POSITION, ArmLayout, Layout
from vgil_ros.core.leader_follower import REALIGN
from vgil_ros.core.streams import StreamSpec
from vgil_ros.robots.arm_model import ArmModel

WIDER = 0.01  # rad (m) by which a contract's limits may be wider than its URDF's: rounding
SLOW = 0.9  # of the contract's rate; a stream below it is repeated or interpolated
LATE_MS, AHEAD_MS = 100.0, 5.0  # of stamps before their arrival, and after it
MOST_WRONG = 0.6  # of the looks at a stream
LAST_LOOKS = 5  # a stream that was wrong at all of these has died, however well it was before


class Verdict(str, Enum):
    """What a finding means for a start."""

    GO = "ok"
    LOOK = "look"  # it goes, and somebody should know
    NO_GO = "no"


@dataclass(frozen=True)
class RobotFinding:
    """One thing that was looked at.

    Attributes:
        about: a stream, an arm, or a command topic.
        verdict: what it means.
        words: what was found.
    """

    about: str
    verdict: Verdict
    words: str


@dataclass(frozen=True, eq=False)
class Heard:
    """What was heard of a stream.

    Attributes:
        rate_hz: messages a second.
        wrong: why it cannot be used, in words; None where it can.
        offset_ms: the least by which its stamps were before their arrival; None before any.
        payload: the newest; (3, J) of joints.
        content: of the newest, in words.
    """

    rate_hz: float
    wrong: str | None = None
    offset_ms: float | None = None
    payload: np.ndarray | None = None
    content: str = ""


class Looks:
    """What stood against a stream at each look at it, since it was first heard."""

    def __init__(self) -> None:
        self._count = 0
        self._wrong: list[str] = []
        self._in_a_row = 0  # wrong ones, up to the newest

    def add(self, wrong: str | None) -> None:
        """A look: what stood against it, in words, or None."""
        self._count += 1
        self._in_a_row = 0 if wrong is None else self._in_a_row + 1
        if wrong is not None:
            self._wrong.append(wrong)

    @property
    def wrong(self) -> str | None:
        """Why it cannot be used; None for what a busy machine does to any: wrong now and then, and well again."""
        stands = len(self._wrong) > MOST_WRONG * self._count or self._in_a_row >= LAST_LOOKS
        return self._wrong[-1] if stands else None


def rate_until(count: int, span_s: float, since_s: float) -> float:
    """Messages a second up to now: one that is due may be waited for, what stays out longer counts as silence.

    Args:
        count: messages after the first.
        span_s: from the first one's stamp to the newest one's, above 0.
        since_s: from when the first was heard until now, by the same clock.
    """
    due_s = span_s / count if count else 0.0
    return count / (span_s + max(0.0, since_s - span_s - due_s))


def check_robot(
    contract: Contract, streams: Sequence[StreamSpec], heard: Mapping[str, Heard], unheard: Sequence[str]
) -> list[RobotFinding]:
    """Return what was found, in the contract's order.

    Args:
        contract: the robot.
        streams: what was listened to.
        heard: by the stream's name.
        unheard: command topics that nobody listens on.
    """
    layout = Layout(contract)
    findings = [_stream(spec, heard[spec.name], contract.rate_hz) for spec in streams]
    for arm in layout.arms:
        findings.append(_limits(arm.arm))
        findings += _pose(layout, arm, heard)
    findings += [RobotFinding(topic, Verdict.NO_GO, f"nobody listens on {topic}") for topic in unheard]
    return findings


class Judged(Protocol):
    """What a verdict was given on."""

    @property
    def verdict(self) -> Verdict: ...


def verdict_words(findings: Sequence[Judged]) -> str:
    """The whole in one line: GO, or NO-GO and how much stands in the way."""
    against = sum(finding.verdict is Verdict.NO_GO for finding in findings)
    look = sum(finding.verdict is Verdict.LOOK for finding in findings)
    if against:
        return f"NO-GO: {against} thing{'s' * (against > 1)} to mend"
    return f"GO{f', and {look} to know of' if look else ''}"


def _stream(spec: StreamSpec, heard: Heard, rate_hz: float) -> RobotFinding:
    if heard.wrong is not None:
        return RobotFinding(spec.name, Verdict.NO_GO, heard.wrong)
    words, verdict = [f"{heard.rate_hz:.0f} Hz", heard.content], Verdict.GO
    if heard.rate_hz < SLOW * rate_hz:
        words.append(f"slower than the robot's {rate_hz:g} Hz: rows repeat or interpolate it")
        verdict = Verdict.LOOK
    if heard.offset_ms is not None and not -AHEAD_MS <= heard.offset_ms <= LATE_MS:
        where = "before" if heard.offset_ms > 0 else "after"
        words.append(f"stamped {abs(heard.offset_ms):.0f} ms {where} it comes: are the computers' clocks set alike?")
        verdict = Verdict.LOOK
    return RobotFinding(spec.name, verdict, ", ".join(filter(None, words)))


def _limits(arm: Arm) -> RobotFinding:
    """The contract's limits against its URDF's."""
    about = f"{arm.name}/limits"
    if arm.urdf is None:
        return RobotFinding(about, Verdict.LOOK, "no urdf in the contract to hold its limits against")
    try:
        model = ArmModel(arm)
    except VgilError as error:
        return RobotFinding(about, Verdict.NO_GO, str(error))
    lower, upper = (model.to_urdf(np.asarray(ends)) for ends in (arm.limits.lower, arm.limits.upper))
    wide = []
    for name, low, high in zip(model.joints, np.minimum(lower, upper), np.maximum(lower, upper), strict=True):
        joint = model.urdf.by_name[name]
        if joint.kind != "continuous" and (low < joint.lower - WIDER or high > joint.upper + WIDER):
            wide.append(f"{name} {low:.4g} to {high:.4g}, the URDF's {joint.lower:.4g} to {joint.upper:.4g}")
    if wide:
        return RobotFinding(about, Verdict.NO_GO, f"wider than {arm.urdf} has them: {'; '.join(wide)}")
    return RobotFinding(about, Verdict.GO, f"within those of {arm.urdf}")


def _pose(layout: Layout, arm: ArmLayout, heard: Mapping[str, Heard]) -> list[RobotFinding]:
    """Where the puppet stands, and whether its master is where it is."""
    names = layout.joint_names[arm.columns]
    puppet = _positions(heard.get(f"{arm.arm.name}/puppet"))
    master = _positions(heard.get(f"{arm.arm.name}/master"))
    findings = []
    if puppet is not None:
        at = arm.state.normalise(puppet)
        findings.append(_standing(arm, names, at, layout.lower[arm.columns], layout.upper[arm.columns]))
        if master is not None:
            findings.append(_mapping(arm, names, at, arm.master.normalise(master)))
    return findings


def _standing(
    arm: ArmLayout, names: Sequence[str], at: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> RobotFinding:
    about = f"{arm.arm.name}/pose"
    outside = (at < lower - WIDER) | (at > upper + WIDER)
    if arm.gripper_column is not None:
        outside[arm.gripper_column - arm.columns.start] = False
    told = [
        f"{names[i]} at {at[i]:.3g}, outside {lower[i]:.4g} to {upper[i]:.4g}" for i in np.flatnonzero(outside).tolist()
    ]
    if told:
        words = f"{'; '.join(told)}: the first commands move it inward slowly"
        return RobotFinding(about, Verdict.LOOK, words)
    return RobotFinding(about, Verdict.GO, "within its limits")


def _mapping(arm: ArmLayout, names: Sequence[str], puppet: np.ndarray, master: np.ndarray) -> RobotFinding:
    about = f"{arm.arm.name}/mapping"
    apart = np.abs(puppet - master)
    i = int(np.argmax(apart))
    if apart[i] > REALIGN:
        words = f"{names[i]}: master at {master[i]:.3g}, puppet at {puppet[i]:.3g}; teleop aligns them slowly first"
        return RobotFinding(about, Verdict.LOOK, f"{words}. If both stand alike, a range or a sign is wrong")
    return RobotFinding(about, Verdict.GO, f"master and puppet stand alike, within {apart[i]:.2g}")


def _positions(heard: Heard | None) -> np.ndarray | None:
    if heard is None or heard.payload is None or heard.wrong is not None:
        return None
    positions: np.ndarray = heard.payload[POSITION]
    return positions
