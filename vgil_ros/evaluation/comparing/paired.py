"""Paired comparison of two success rates: counts of pairs, McNemar's exact test, and the interval of the difference.

A pair is one scene (or one block of a trial) that both policies were given. What tells them apart are the pairs in
which only one of them succeeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import NormalDist

from vgil_ros.core.errors import VgilError


@dataclass(frozen=True)
class PairedCounts:
    """How many pairs ended in which way: both succeeded, only the first, only the second, neither."""

    both: int = 0
    only_first: int = 0
    only_second: int = 0
    neither: int = 0

    def __post_init__(self) -> None:
        counts = (self.both, self.only_first, self.only_second, self.neither)
        if min(counts) < 0:
            raise ValueError(f"counts of pairs are {counts}; allowed: from 0")

    @classmethod
    def of(cls, outcomes: Iterable[tuple[bool, bool]]) -> PairedCounts:
        """Count pairs of (the first succeeded, the second succeeded)."""
        counts = [0, 0, 0, 0]
        for first, second in outcomes:
            counts[(0 if second else 1) if first else (2 if second else 3)] += 1
        return cls(*counts)

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Success rate of the first less that of the second, -1 to 1; 0 of no pairs."""
        return (self.only_first - self.only_second) / self.pairs if self.pairs else 0.0

    @property
    def swapped(self) -> PairedCounts:
        """As the second sees them."""
        return PairedCounts(self.both, self.only_second, self.only_first, self.neither)


def mcnemar_exact(counts: PairedCounts) -> float:
    """Return the two-sided p-value of McNemar's exact test, that both succeed equally often.

    Given the pairs that tell them apart, each is then a fair coin: a binomial test on them. Valid for a number of pairs
    that was chosen beforehand; where one looks after each pair, `sequential` has what is valid.

    Source: McNemar 1947; the conditional, exact form: Cochran 1950. It errs on the safe side: the error rate is at most
    the level, and for few pairs well below it.
    """
    fewer, apart = min(counts.only_first, counts.only_second), counts.only_first + counts.only_second
    tail = ways = 1
    for k in range(fewer):
        ways = ways * (apart - k) // (k + 1)
        tail += ways
    share: float = 2 * tail / 2**apart  # of whole numbers: they may be larger than any float
    return min(1.0, share)


def difference_interval(counts: PairedCounts, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of the difference of success rates, first less second.

    Valid for a number of pairs that was chosen beforehand.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design". Its coverage is near the nominal one for few pairs and for rates near 0 and 1, where that of
    Wald's fails.

    Raises:
        VgilError: for a confidence that is not between 0 and 1.
    """
    checked_share("confidence", confidence)
    if not counts.pairs:
        return -1.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = counts.difference
    low = _crossing(lambda d: _score(counts, d) <= z, -1.0, middle)
    high = -_crossing(lambda d: _score(counts.swapped, d) <= z, -1.0, -middle)
    return low, high


def checked_share(name: str, value: float) -> float:
    """Return a level or confidence.

    Raises:
        VgilError: it is not between 0 and 1.
    """
    if not 0.0 < value < 1.0:
        raise VgilError(f"{name} is {value:g}; allowed: above 0 and below 1")
    return value


def _score(counts: PairedCounts, difference: float) -> float:
    """Tango's statistic of a supposed difference; large where the first does better than supposed."""
    n, first, second = counts.pairs, counts.only_first, counts.only_second
    linear = (2 * n - first + second) * difference - first - second
    root = math.sqrt(max(0.0, linear**2 + 8 * n * second * difference * (1 - difference)))
    share = (root - linear) / (4 * n)  # of pairs won by the second, most likely under the difference
    variance = n * (2 * share + difference * (1 - difference))
    above = first - second - n * difference
    if variance <= 1e-12:
        return math.copysign(math.inf, above) if abs(above) > 1e-9 else 0.0
    return above / math.sqrt(variance)


def _crossing(inside: Callable[[float], bool], outer: float, inner: float) -> float:
    """Where, between a point outside an interval and one inside, it begins. An end that is inside itself is the end."""
    if inside(outer):
        return outer
    while abs(inner - outer) > 1e-9:
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if inside(middle) else (inner, middle)
    return inner
