"""The guard on simulated teleoperation of every shipped robot: no false alarm; every kind of lie within two ticks.

The hour of each robot is `test/bench/bench_guard.py`; here it is half a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import guard_hour
from support.guard_hour import START_NS, ranges_of

from vgil_ros.assets import load_contract, robot_names
from vgil_ros.core.contract import Contract
from vgil_ros.core.guard.following import following_monitor
from vgil_ros.core.guard.predicates import reach
from vgil_ros.core.guard.ranges import Ranges
from vgil_ros.core.guard.reading_guard import guards_of
from vgil_ros.core.guard.refusals import one_tick
from vgil_ros.core.layout import POSITION, JointError, JointReader, Layout, master_reader, puppet_reader
from vgil_ros.episodes.checks.check import check_episode

SECONDS = 30.0
HZ = 100.0  # of drivers; a stream that is slower than the ticks stands with its second message
GOLDEN = Path(__file__).parents[2] / "episodes" / "golden"
MS = 1_000_000

Lie = Callable[[np.ndarray, Ranges, float], np.ndarray | None]


def zero_count(at: np.ndarray, r: Ranges, seconds: float) -> np.ndarray | None:
    """A driver that has lost its servos (F1); a gripper in other units may say anything."""
    return np.where(r.arm, -3.14159, at) if r.arm.sum() > 1 else None


def beyond(at: np.ndarray, r: Ranges, seconds: float) -> np.ndarray:
    """One joint far outside its range."""
    return np.where(np.arange(len(at)) == 0, r.upper + r.margin + 0.05, at)


def jump(at: np.ndarray, r: Ranges, seconds: float) -> np.ndarray | None:
    """One joint somewhere that it cannot have come to, within its range."""
    step = 1.2 * reach(seconds, r.velocity, r.speed)
    inward = np.where(at > (r.lower + r.upper) / 2, at - step, at + step)
    able = np.isfinite(inward) & (inward > r.lower - r.margin) & (inward < r.upper + r.margin)
    return np.where(np.arange(len(at)) == np.argmax(able), inward, at) if able.any() else None


def degrees(at: np.ndarray, r: Ranges, seconds: float) -> np.ndarray | None:
    """A driver in degrees, of an arm that stands somewhere else than at zero."""
    said = np.where(r.arm, np.degrees(at), at)
    return said if ((said < r.lower - r.margin) | (said > r.upper + r.margin)).any() else None


def not_a_number(at: np.ndarray, r: Ranges, seconds: float) -> np.ndarray:
    """NaN, as xs_sdk answers for a gripper in the wrong unit (F2)."""
    return np.where(np.arange(len(at)) == len(at) - 1, np.nan, at)


LIES: dict[str, Lie] = {
    "zero count": zero_count, "beyond": beyond, "jump": jump, "degrees": degrees, "not a number": not_a_number,
}  # fmt: skip


@pytest.mark.parametrize("robot", robot_names())
def test_nothing_is_refused_while_a_robot_is_led(robot: str) -> None:
    contract, _ = load_contract(robot)
    for stream, figures in guard_hour.judged(contract, SECONDS / len(contract.arms), seed=len(robot)).items():
        assert not figures.refused, (stream, figures.refused[:3])
        assert figures.held_ticks == 0
        assert figures.lost > 0
        assert figures.late > 0


@pytest.mark.parametrize("robot", robot_names())
def test_every_lie_stands_within_two_ticks(robot: str) -> None:
    contract, _ = load_contract(robot)
    told = 0
    for stream, rate, messages in guard_hour.streams(contract, 2.0, seed=1, rate=HZ):
        for lie in LIES.values():
            ticks = ticks_to_hold(contract, stream, rate, [m for m in messages if m is not None], lie)
            told += ticks is not None
            assert ticks is None or ticks <= 2, (stream, lie.__doc__, ticks)
    assert told >= 3 * len(contract.arms)


def ticks_to_hold(
    contract: Contract, stream: str, rate: float, messages: list[guard_hour.Message], lie: Lie
) -> int | None:
    """Ticks from the first message that lies until the stream stands as refused; None where the lie is none here."""
    readers = {r.stream: r for arm in contract.arms for r in (puppet_reader(arm), master_reader(arm))}
    guard, refusals = guards_of(contract)[stream], one_tick(contract.period_ns)
    period = 1.0 / rate
    honest = messages[: len(messages) // 2]
    for message in honest:
        assert guard.judge(message.stamp_ns, message.arrival_ns, message.positions) is None
        refusals.accept(stream, message.arrival_ns)
    last = honest[-1]
    first_ns = last.arrival_ns + round(period * 1e9)
    said = lie(last.positions, ranges_of(contract, stream), (first_ns - min(last.stamp_ns, last.arrival_ns)) / 1e9)
    if said is None:
        return None
    for tick in range(1, 20):
        at_ns = first_ns + round((tick - 1) * period * 1e9)
        refuse(readers[stream], guard, refusals, at_ns, said)
        if stream in refusals.standing(first_ns + tick * contract.period_ns - contract.period_ns // 2):
            return tick
    raise AssertionError(f"{stream}: {lie.__doc__} is never refused")


def refuse(reader: JointReader, guard: object, refusals: object, at_ns: int, said: np.ndarray) -> None:
    """One message that lies, through the reader and the guard, as every node does it."""
    values = guard_hour.values_of(reader, guard_hour.Message(at_ns, at_ns, said))
    try:
        payload = reader.read(guard_hour.names_of(reader.joints, reader.effort_joints), values)
        words = guard.judge(at_ns, at_ns, payload[POSITION])  # type: ignore[attr-defined]
    except JointError as error:
        words = error.detail
    if words is None:
        refusals.accept(reader.stream, at_ns)  # type: ignore[attr-defined]
    else:
        refusals.refuse(reader.stream, words, at_ns)  # type: ignore[attr-defined]


@pytest.mark.parametrize("robot", ["aloha", "ur5e", "franka_fr3_jtc", "so101_ros2"])
def test_a_motor_that_is_off_stands_within_two_ticks_of_the_stated_time(robot: str) -> None:
    """F4: the others go on; it is `following.after_s` that says for how long a joint may be behind."""
    contract, _ = load_contract(robot)
    layout = Layout(contract)
    monitor = following_monitor(layout)
    assert monitor is not None
    command, measured = layout.home.copy(), layout.home.copy()
    allowed, since = contract.following.max_error, None
    for tick in range(1000):
        now = START_NS + tick * contract.period_ns
        command[0] = layout.home[0] + min(tick * 0.02, 2 * allowed)
        measured[1:] = command[1:]
        if since is None and command[0] - measured[0] > allowed:
            since = now
        if monitor.update(now, command.copy(), measured.copy())[0]:
            assert since is not None
            assert now - since <= contract.following.after_s * 1e9 + 2 * contract.period_ns + MS
            return
    raise AssertionError("never found")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.hdf5")), ids=lambda path: path.stem)
def test_no_golden_episode_is_found_to_lie(path: Path) -> None:
    """They are noise of six rows, and name no robot: what moves in them is nobody's limit."""
    report = check_episode(path)
    assert not [str(f) for f in report.findings if f.check == "limits"]
    with h5py.File(path) as file:
        assert not (np.abs(file["observations/qpos"][:] + np.pi) < 1e-3).all(axis=1).any()
