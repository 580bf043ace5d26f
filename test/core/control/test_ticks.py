"""Laws of the tick numbers of a loop whose turns jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.control.ticks import TickCounter

PERIOD_NS = 20_000_000
ORIGIN = 10**18


@given(st.floats(-0.5, 0.5), st.lists(st.floats(-0.14, 0.14), min_size=5, max_size=60))
def test_jitter_at_any_phase_gives_every_tick_once(phase: float, jitter: list[float]) -> None:
    counter = TickCounter(50.0, ORIGIN)
    turns = [ORIGIN + round((1 + k + phase + late) * PERIOD_NS) for k, late in enumerate(jitter)]
    ticks = [counter.turn(now) for now in turns]
    assert ticks == list(range(ticks[0], ticks[0] + len(turns)))
    assert all(abs(counter.stamp_ns(t) - now) <= PERIOD_NS for t, now in zip(ticks, turns, strict=True))


def test_a_loop_that_was_away_goes_on_with_the_tick_of_now() -> None:
    counter = TickCounter(50.0, ORIGIN)
    assert counter.turn(ORIGIN + 1 * PERIOD_NS) == 1
    assert counter.turn(ORIGIN + 30 * PERIOD_NS) == 30
    assert counter.turn(ORIGIN + 31 * PERIOD_NS) == 31
    assert counter.turn(ORIGIN + 5 * PERIOD_NS) == 5, "a clock that jumped back"
    assert counter.nearest(ORIGIN + 3 * PERIOD_NS + 9_000_000) == 3


def test_a_slow_drift_is_followed_within_a_tick() -> None:
    counter = TickCounter(50.0, ORIGIN)
    for k in range(1, 5000):
        now = ORIGIN + round(k * PERIOD_NS * 1.001)
        assert abs(counter.stamp_ns(counter.turn(now)) - now) <= 0.81 * PERIOD_NS
