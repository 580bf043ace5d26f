"""The simulator's deadlines and stamps, on a clock that the test turns."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mujoco")

from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.nodes.sim import SimNode
from vgil_ros.nodes.simulator import loop as sim_loop
from vgil_ros.nodes.simulator.loop import LATE_S, Pacer
from vgil_ros.robots.sim.simulation import START_NS

WALL = 1_700_000_000.0


class Clock:
    """Stands for the module `time`: it only moves when something sleeps or works."""

    def __init__(self) -> None:
        self.now = 50.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return round((self.now + WALL) * 1e9)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def run(speed: float, work: list[float]) -> tuple[list[int], list[float], Pacer]:
    """Return the stamps (ns) and the real times at which each was handed out."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sim_loop, "time", clock)
        pacer = Pacer(100.0, speed)
        stamps, times = [], []
        for seconds in work:
            stamps.append(pacer.wait())
            times.append(clock.now)
            clock.now += seconds
    return stamps, times, pacer


@given(st.lists(st.floats(0.0, 0.4), min_size=2, max_size=40))
def test_in_real_time_stamps_are_a_grid_of_the_wall_clock_that_jumps_only_forward(work: list[float]) -> None:
    stamps, times, pacer = run(1.0, work)
    late = [t + WALL - stamp * 1e-9 for stamp, t in zip(stamps, times, strict=True)]
    assert all(-1e-6 < x <= LATE_S + 1e-6 for x in late)  # never of the future, never long past
    steps = [(b - a) * 1e-9 for a, b in pairwise(stamps)]
    assert all(step > 0.01 - 1e-6 for step in steps)
    assert sum(steps) == pytest.approx(0.01 * len(steps) + pacer.lost_s, abs=1e-5)


def test_a_short_stall_is_made_up_for_and_a_long_one_given_up() -> None:
    _, times, pacer = run(1.0, [0.0, 0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert pacer.lost_s == 0.0
    assert times[-1] == pytest.approx(50.08)
    _, times, pacer = run(1.0, [0.0, 0.5, 0.0, 0.0])
    assert pacer.lost_s == pytest.approx(0.49)
    assert times[-1] == pytest.approx(50.53)


@pytest.mark.parametrize(("lost_s", "skipped", "key"), [(0.9, 0.0, "real time"), (0.0, 0.61, "cameras")])
def test_a_machine_that_is_too_slow_is_told_what_helps_and_that_it_is_over(
    lost_s: float, skipped: float, key: str
) -> None:
    said: dict[str, str] = {}
    node = SimpleNamespace(
        robot=SimpleNamespace(),
        _pacer=SimpleNamespace(lost_s=lost_s, real_time=True),
        _cameras=SimpleNamespace(skipped=lambda: skipped),
        warn_once=said.__setitem__,
        clear=lambda one: said.pop(one, None),
    )
    SimNode._report(node)  # type: ignore[arg-type]
    assert set(said) == {key}
    assert "too slow" in said[key]
    assert "sim_time:=true" in said[key]
    node._cameras.skipped = lambda: 0.0
    SimNode._report(node)  # type: ignore[arg-type]
    assert not said
    node._pacer = SimpleNamespace(lost_s=lost_s, real_time=False)
    SimNode._report(node)  # type: ignore[arg-type]
    assert not said, "of simulated time nothing is lost"


@pytest.mark.parametrize(("speed", "took"), [(4.0, 0.25), (0.5, 2.0), (0.0, 0.0)])
def test_other_speeds_stamp_simulated_time(speed: float, took: float) -> None:
    stamps, times, pacer = run(speed, [0.0] * 100)
    assert not pacer.real_time
    assert stamps == [START_NS + 10_000_000 * (n + 1) for n in range(100)]
    assert times[-1] - 50.0 == pytest.approx(took)
