"""Checks of where the joints stand against where training's episodes began: signs, order, units, grippers, pose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.preflight.findings import Case, Finding
from vgil_ros.robots.robot_check import Verdict

ROOM, ROOM_SHARE = 0.12, 0.5  # rad, and share of training's own range of starts, by which a start may lie outside
GRIPPER_ROOM = 0.12  # of 0 (closed) to 1 (open)
PARTIAL = (np.pi / 2, np.pi, 2 * np.pi)  # by which a zero is often off, rad
MOST_MIXED = 7  # joints of which every order is tried


@dataclass(frozen=True, eq=False)
class Starts:
    """Where the joints stand, and where training began: all (J,), in units of qpos."""

    names: tuple[str, ...]
    at: np.ndarray
    low: np.ndarray
    high: np.ndarray
    grippers: tuple[int, ...]

    def fits(self, column: int, value: float) -> bool:
        """Whether a value is a start that training had, at a joint."""
        return bool(self.low[column] <= value <= self.high[column])

    def of(self, column: int) -> str:
        """The starts of a joint, in words."""
        return f"{self.low[column]:.3g} to {self.high[column]:.3g}"


def starts_of(case: Case) -> Starts | None:
    """What is known of the joints; None where either side is not."""
    seen, reference, layout = case.seen, case.reference, case.subject.layout
    if seen is None or reference is None or not len(seen.qpos) or not len(reference.start):
        return None
    count = min(layout.joints, seen.qpos.shape[1], reference.start.shape[1])
    grippers = tuple(column for column in gripper_columns(layout) if column < count)
    start = reference.start[:, :count].astype(np.float64)
    low, high = start.min(0), start.max(0)
    room = np.maximum(ROOM, ROOM_SHARE * (high - low))
    for column in grippers:
        room[column] = GRIPPER_ROOM
    at = np.median(seen.qpos[:, :count], axis=0)
    return Starts(layout.joint_names[:count], at, low - room, high + room, grippers)


def gripper_columns(layout: Layout) -> tuple[int, ...]:
    """Columns of qpos that are grippers'."""
    return tuple(arm.gripper_column for arm in layout.arms if arm.gripper_column is not None)


def check_joints(case: Case) -> Iterator[Finding]:
    """Joints that stand where no episode of training began, by what explains it."""
    starts = starts_of(case)
    if starts is None or case.reference is None:
        return
    off = [i for i in range(len(starts.at)) if not starts.fits(i, starts.at[i])]
    arms = [i for i in off if i not in starts.grippers]
    explained = _explain(starts, arms, case.subject.layout)
    yield from explained
    told = {i for i, name in enumerate(starts.names) if any(name in finding.about.split(", ") for finding in explained)}
    for column in (i for i in starts.grippers if i in off and i not in told):
        yield _gripper(starts, column)
    rest = [i for i in arms if i not in told]
    if rest:
        yield _pose(case, starts, rest)
    if not off:
        yield Finding("start pose", "", Verdict.GO, f"as training's {len(case.reference.start)} starts", _blind(starts))


def _blind(starts: Starts) -> str:
    """What this pose cannot tell."""
    mirrored = [
        name for i, name in enumerate(starts.names) if i not in starts.grippers and starts.fits(i, -starts.at[i])
    ]
    return f"any; at this pose a wrong sign of {', '.join(mirrored)} would not show" if mirrored else "any"


def _explain(starts: Starts, off: Sequence[int], layout: Layout) -> list[Finding]:
    """One cause for what is off, where one is enough."""
    if not off:
        return []
    if all(starts.fits(i, np.radians(starts.at[i])) for i in off) and np.abs(starts.at[list(off)]).max() > 7:
        words = f"{starts.at[off[0]]:.3g} at {starts.names[off[0]]}: degrees"
        advice = "publish radians: the driver's or the contract's units are others"
        return [_finding("joint units", starts, off, words, advice)]
    causes: list[tuple[str, str, Callable[[int], float]]] = [
        (
            "joint sign",
            "counts the other way round: turned round, it stands where training began",
            lambda i: -starts.at[i],
        )
    ]
    for turn, sign in itertools.product(PARTIAL, (1, -1)):
        words = f"its zero is {np.degrees(turn):.0f} degrees off"
        causes.append(("joint zero", words, partial(_moved, starts.at, sign * turn)))
    by_order = _order(starts, layout)
    single = []
    for i in off:
        cause = next(((check, words) for check, words, value in causes if starts.fits(i, value(i))), None)
        if cause is not None:
            single.append((i, *cause))
    if by_order and (len(single) < len(off) or len({check for _, check, _ in single}) > 1):
        return [by_order]
    advice = "mend the driver's sign or zero (`vgil robot calibrate` where it is ours); then look again"
    return [_finding(check, starts, [i], f"{starts.at[i]:.3g}: {words}", advice) for i, check, words in single]


def _moved(at: np.ndarray, by: float, i: int) -> float:
    return float(at[i] + by)


def _order(starts: Starts, layout: Layout) -> Finding | None:
    """Joints of an arm that stand at each other's places."""
    for arm in layout.arms:
        columns = list(range(arm.columns.start, min(arm.columns.stop, len(starts.at))))
        off = [i for i in columns if not starts.fits(i, starts.at[i])]
        if not 2 <= len(off) <= MOST_MIXED:
            continue
        for order in itertools.permutations(off):
            if order == tuple(off) or not all(starts.fits(i, starts.at[j]) for i, j in zip(off, order, strict=True)):
                continue
            words = ", ".join(
                f"{starts.names[j]} where {starts.names[i]} should be" for i, j in zip(off, order, strict=True)
            )
            advice = "give the joints their order: names in the driver's messages, or `joints` in the contract"
            return _finding("joint order", starts, off, words, advice)
    return None


def _finding(check: str, starts: Starts, columns: Sequence[int], found: str, advice: str) -> Finding:
    about = ", ".join(starts.names[i] for i in columns)
    allowed = "; ".join(starts.of(i) for i in columns)
    return Finding(check, about, Verdict.NO_GO, found, allowed, advice)


def _gripper(starts: Starts, column: int) -> Finding:
    value = starts.at[column]
    if starts.fits(column, 1.0 - value) and abs(value - 0.5) > GRIPPER_ROOM:
        words = f"{value:.2f}: closed and open are exchanged, or it stands the other way than in training"
        advice = "open it as training began; if it reads so still, exchange the ends of puppet_range in the contract"
    else:
        words = f"{value:.2f} of 0 (closed) to 1 (open)"
        advice = "open it as training began; if it reads so still, measure puppet_range in the contract anew"
    return _finding("gripper range", starts, [column], words, advice)


def _pose(case: Case, starts: Starts, off: Sequence[int]) -> Finding:
    """A pose at which no episode began: to know of where the data hold it elsewhere, in the way where they never do."""
    assert case.reference is not None
    spread = case.reference.qpos
    room = ROOM
    beyond = [i for i in off if not spread.low[i] - room <= starts.at[i] <= spread.high[i] + room]
    shown = beyond or list(off)
    words = "; ".join(f"{starts.names[i]} at {starts.at[i]:.3g}" for i in shown)
    allowed = "; ".join(starts.of(i) for i in shown)
    advice = "bring the arm to where episodes began: `vgil robot home`, or `wake`"
    verdict = Verdict.NO_GO if beyond else Verdict.LOOK
    return Finding("start pose", ", ".join(starts.names[i] for i in shown), verdict, words, allowed, advice)
