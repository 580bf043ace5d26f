"""Laws of the gripper gesture."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.gripper_trigger import CLOSED, HOLD_NS, OPEN, GripperTrigger

STEP_NS = 20_000_000
widths = st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)), max_size=80)
phases = st.lists(
    st.tuples(st.sampled_from(["open", "closed", "between", "one open"]), st.integers(1, 30)), max_size=10
)
VALUES = {"open": (0.9, 0.8), "closed": (0.1, 0.0), "between": (0.4, 0.5), "one open": (0.1, 0.9)}


def play(trigger: GripperTrigger, rows: list[tuple[float, float]]) -> list[int]:
    return [i for i, row in enumerate(rows) if trigger.update(i * STEP_NS, np.array(row))]


def spelled(kinds: list[tuple[str, int]]) -> list[tuple[float, float]]:
    return [VALUES[kind] for kind, count in kinds for _ in range(count)]


@given(phases)
def test_it_fires_where_all_were_open_and_then_all_stay_closed_and_nowhere_else(kinds: list[tuple[str, int]]) -> None:
    rows, wanted, armed, since = spelled(kinds), [], False, None
    for i, row in enumerate(rows):
        if min(row) > OPEN:
            armed = True
        if max(row) >= CLOSED:
            since = None
            continue
        since = i if since is None else since
        if armed and (i - since) * STEP_NS >= HOLD_NS:
            wanted.append(i)
            armed, since = False, None
    assert play(GripperTrigger(), rows) == wanted


@given(widths)
def test_between_two_times_that_it_fires_the_grippers_were_open(rows: list[tuple[float, float]]) -> None:
    fired = play(GripperTrigger(), rows)
    for before, after in zip([-1, *fired], fired, strict=False):
        assert any(min(row) > OPEN for row in rows[before + 1 : after])


@given(phases)
def test_after_a_reset_only_what_comes_later_counts(kinds: list[tuple[str, int]]) -> None:
    rows = spelled(kinds)
    trigger = GripperTrigger()
    play(trigger, [*rows, *spelled([("open", 3)])])
    trigger.reset()
    assert play(trigger, spelled([("closed", 40)])) == []
    assert len(play(trigger, spelled([("open", 1), ("closed", 40)]))) == 1


def test_a_robot_without_grippers_never_fires() -> None:
    trigger = GripperTrigger()
    assert not any(trigger.update(i * STEP_NS, np.empty(0)) for i in range(100))
