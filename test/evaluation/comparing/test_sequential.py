"""Sequential test: a fair bet, so its error rate holds at every moment at once; and an interval that says the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.comparing.paired import PairedCounts
from vgil_ros.evaluation.comparing.sequential import (
    decides,
    difference_sequence,
    e_value,
    log_capital,
    log_e_value,
)

few = st.integers(0, 60)
some_counts = st.builds(PairedCounts, few, few, few, few)


def apart(first: int, second: int) -> PairedCounts:
    return PairedCounts(only_first=first, only_second=second)


@given(few, few)
def test_a_fair_coin_leaves_the_capital_as_it_was_on_the_average(first: int, second: int) -> None:
    """The law that makes it valid: a martingale, whatever came before."""
    after = (e_value(apart(first + 1, second)) + e_value(apart(first, second + 1))) / 2
    assert after == pytest.approx(e_value(apart(first, second)), rel=1e-9)


@given(some_counts)
def test_pairs_that_agree_say_nothing_and_names_do_not_matter(counts: PairedCounts) -> None:
    assert e_value(counts) == e_value(apart(counts.only_first, counts.only_second))
    assert e_value(counts.swapped) == e_value(counts)


@settings(deadline=None, max_examples=25)
@given(some_counts)
def test_the_interval_leaves_zero_out_just_where_the_test_decides(counts: PairedCounts) -> None:
    low, high = difference_sequence(counts)
    assert -1.0 <= low <= counts.difference + 1e-9
    assert counts.difference - 1e-9 <= high <= 1.0
    assert (low > 0 or high < 0) == decides(counts, 0.05)
    other = difference_sequence(counts.swapped)
    assert other == pytest.approx((-high, -low), abs=1.001e-3), "but for the grid's rounding"


@settings(deadline=None, max_examples=30)
@given(some_counts, st.floats(-0.95, 0.95), st.floats(0.0, 1.0))
def test_no_difference_can_be_bet_against_at_a_gain(counts: PairedCounts, difference: float, share: float) -> None:
    """With the true difference supposed, the next pair leaves the capital as it was on the average."""
    rest = 1 - abs(difference)
    first = max(difference, 0.0) + rest * share / 2
    second = first - difference
    chances = (first, second, 1 - first - second)
    supposed = np.array([difference])
    ends = (
        PairedCounts(counts.both, counts.only_first + 1, counts.only_second, counts.neither),
        PairedCounts(counts.both, counts.only_first, counts.only_second + 1, counts.neither),
        PairedCounts(counts.both + 1, counts.only_first, counts.only_second, counts.neither),
    )
    before = float(log_capital(counts, supposed)[0])
    after = sum(p * math.exp(float(log_capital(c, supposed)[0]) - before) for p, c in zip(chances, ends, strict=True))
    assert after == pytest.approx(1.0, rel=1e-6)


@given(few, few, st.integers(0, 60))
def test_against_no_difference_both_bets_are_one(first: int, second: int, same: int) -> None:
    counts = PairedCounts(same, first, second, 0)
    assert float(log_capital(counts, np.zeros(1))[0]) == pytest.approx(log_e_value(counts), abs=1e-6)


def wrong_within(pairs: int, alpha: float) -> float:
    """The exact probability that fair coins are told apart at any time within so many pairs that differ."""
    alive, wrong = {(0, 0): 1.0}, 0.0
    for _ in range(pairs):
        following: dict[tuple[int, int], float] = {}
        for (first, second), chance in alive.items():
            for key in ((first + 1, second), (first, second + 1)):
                if decides(apart(*key), alpha):
                    wrong += chance / 2
                else:
                    following[key] = following.get(key, 0.0) + chance / 2
        alive = following
    return wrong


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_looking_after_every_pair_errs_no_more_often_than_the_level(alpha: float) -> None:
    assert 0.2 * alpha < wrong_within(150, alpha) <= alpha


def test_the_sequence_holds_the_truth_at_all_times_at_once() -> None:
    """Runs of sixty pairs, looked at after each twentieth one."""
    random, missed = np.random.default_rng(5), 0
    shares = np.array([0.5, 0.25, 0.1, 0.15])
    for _ in range(40):
        ends = random.multinomial(20, shares, size=3).cumsum(0)
        intervals = (difference_sequence(PairedCounts(*map(int, counts))) for counts in ends)
        missed += not all(low <= 0.15 <= high for low, high in intervals)
    assert missed <= 0.05 * 40


def test_known_evidence() -> None:
    assert e_value(PairedCounts(10, 0, 0, 3)) == pytest.approx(1.0)
    assert e_value(apart(7, 0)) == pytest.approx(2**7 * math.comb(14, 7) / 4**7)
    assert not decides(apart(6, 0), 0.05)
    assert decides(apart(7, 0), 0.05), "seven to nothing decide"
    assert difference_sequence(PairedCounts()) == (-1.0, 1.0)


def test_no_level_is_refused() -> None:
    for alpha in (0.0, 1.0, -2.0, math.nan):
        with pytest.raises(VgilError, match=r"alpha is .*; allowed: above 0 and below 1"):
            decides(apart(3, 1), alpha)
