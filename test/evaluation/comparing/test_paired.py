"""Paired statistics: symmetric, exact where enumeration says what is exact, and as sure as they claim to be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.comparing.paired import PairedCounts, difference_interval, mcnemar_exact

few = st.integers(0, 40)
some_counts = st.builds(PairedCounts, few, few, few, few)


def all_counts(pairs: int) -> Iterator[PairedCounts]:
    """Every way in which so many pairs can end."""
    for cuts in itertools.combinations(range(pairs + 3), 3):
        edges = (-1, *cuts, pairs + 3)
        yield PairedCounts(*(b - a - 1 for a, b in itertools.pairwise(edges)))


def probability(counts: PairedCounts, both: float, first: float, second: float) -> float:
    """Of such counts, from the probabilities of a pair's ends."""
    shares = (both, first, second, 1 - both - first - second)
    ends = (counts.both, counts.only_first, counts.only_second, counts.neither)
    ways = math.factorial(counts.pairs) / math.prod(map(math.factorial, ends))
    return ways * math.prod(share**times for share, times in zip(shares, ends, strict=True))


@given(some_counts)
def test_who_is_called_the_first_does_not_matter(counts: PairedCounts) -> None:
    assert mcnemar_exact(counts.swapped) == mcnemar_exact(counts)
    low, high = difference_interval(counts)
    assert difference_interval(counts.swapped) == pytest.approx((-high, -low), abs=1e-8)
    assert counts.swapped.difference == -counts.difference


@given(some_counts)
def test_the_interval_holds_the_difference_and_narrows_with_less_confidence(counts: PairedCounts) -> None:
    low, high = difference_interval(counts)
    assert -1.0 <= low <= counts.difference + 1e-9
    assert counts.difference - 1e-9 <= high <= 1.0
    inner = difference_interval(counts, 0.5)
    assert low - 1e-8 <= inner[0] <= inner[1] <= high + 1e-8


def test_mcnemars_test_is_the_binomial_one() -> None:
    """Against every outcome that is no likelier, enumerated."""
    for apart in range(1, 13):
        for first in range(apart + 1):
            own = math.comb(apart, first)
            as_far = sum(math.comb(apart, k) for k in range(apart + 1) if math.comb(apart, k) <= own)
            counts = PairedCounts(5, first, apart - first, 2)
            assert mcnemar_exact(counts) == pytest.approx(as_far / 2**apart)
    assert mcnemar_exact(PairedCounts(10, 0, 0, 3)) == 1.0
    assert mcnemar_exact(PairedCounts(0, 6, 0, 0)) == 2 / 64
    assert 0 < mcnemar_exact(PairedCounts(0, 1500, 1300, 0)) < 0.01, "large counts are no overflow"


def test_scipys_binomial_test_agrees() -> None:
    stats = pytest.importorskip("scipy.stats")
    for first, second in ((0, 4), (3, 9), (8, 8), (40, 21)):
        expected = stats.binomtest(first, first + second).pvalue
        assert mcnemar_exact(PairedCounts(3, first, second, 1)) == pytest.approx(expected)


@pytest.mark.parametrize("shares", [(0.6, 0.1, 0.1), (0.3, 0.25, 0.25), (0.0, 0.5, 0.5), (0.9, 0.02, 0.02)])
def test_mcnemar_errs_no_more_often_than_its_level(shares: tuple[float, float, float]) -> None:
    wrong = sum(probability(counts, *shares) for counts in all_counts(14) if mcnemar_exact(counts) <= 0.05)
    assert wrong <= 0.05


@pytest.mark.parametrize("shares", [(0.4, 0.2, 0.2), (0.5, 0.3, 0.1), (0.7, 0.2, 0.05), (0.1, 0.3, 0.4)])
def test_the_interval_holds_the_truth_as_often_as_it_says(shares: tuple[float, float, float]) -> None:
    """Score intervals hold it 95 % of the time on the average; never far below for so few pairs."""
    truth, covered = shares[1] - shares[2], 0.0
    for counts in all_counts(16):
        low, high = difference_interval(counts)
        covered += probability(counts, *shares) * (low <= truth <= high)
    assert 0.93 <= covered <= 1.0


def test_the_ends_solve_the_equation_that_makes_them() -> None:
    """Of n pairs that all agree, Tango's interval is z^2 / (n + z^2) to either side."""
    square = 1.959963984540054**2
    low, high = difference_interval(PairedCounts(50, 0, 0, 0))
    assert (low, high) == pytest.approx((-square / (50 + square), square / (50 + square)), abs=1e-7)


def test_nothing_is_known_of_no_pairs() -> None:
    assert difference_interval(PairedCounts()) == (-1.0, 1.0)
    assert mcnemar_exact(PairedCounts()) == 1.0


def test_pairs_are_counted() -> None:
    counts = PairedCounts.of([(True, True), (True, False), (True, False), (False, True), (False, False)])
    assert counts == PairedCounts(1, 2, 1, 1)
    assert (counts.pairs, counts.difference) == (5, pytest.approx(0.2))


def test_what_is_no_count_and_no_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed: from 0"):
        PairedCounts(1, -1)
    with pytest.raises(VgilError, match="confidence is 1; allowed"):
        difference_interval(PairedCounts(1, 1, 1, 1), 1.0)
