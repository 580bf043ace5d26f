"""Sequential comparison of two success rates: evidence that may be looked at, and acted on, after every pair.

Under the hypothesis that both succeed equally often, each pair that tells them apart is a fair coin. Whoever bets on it
cannot expect to gain: a capital that began at 1 reaches 1/alpha with a probability of at most alpha, ever (Ville 1939).
So the capital is the evidence (an e-value), and one may stop as soon as it is large enough, or for any other reason.

The bet is a mixture over all shares, with Jeffreys' prior Beta(1/2, 1/2) [Krichevsky and Trofimov 1981]:

    e = 2^n B(first + 1/2, second + 1/2) / B(1/2, 1/2),   n = first + second

The confidence sequence of the difference d bets in the same way on outcomes D in {1, 0, -1} with mean d: the capital is
the mean over lambda of prod(1 + lambda (D - d)), which is exactly e for d = 0 [betting: Waudby-Smith and Ramdas 2024,
"Estimating means of bounded random variables by betting"]. It leaves 0 out when, and only when, the test decides.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np

from vgil_ros.evaluation.comparing.paired import PairedCounts, checked_share

NODES = 256  # of lambda. Any finite mixture is valid; with so many it is exact up to 2 * NODES - 1 pairs
GRID = 2001  # supposed differences, -1 to 1
STAKE = 1e6  # largest bet against a difference of 1 or -1, where nothing else bounds it
_LN_B = math.log(math.pi)  # of B(1/2, 1/2)


def log_e_value(counts: PairedCounts) -> float:
    """Return the natural logarithm of the evidence against equal success rates: of e, 0 at the beginning."""
    return log_e_of(counts.only_first, counts.only_second)


@lru_cache(1 << 14)
def log_e_of(first: int, second: int) -> float:
    """As `log_e_value`, of the pairs that only the first, and only the second succeeded in."""
    apart = first + second
    beta = math.lgamma(first + 0.5) + math.lgamma(second + 0.5) - math.lgamma(apart + 1)
    return apart * math.log(2.0) + beta - _LN_B


def e_value(counts: PairedCounts) -> float:
    """Return the evidence against equal success rates: what a fair bet has paid; 20 decide at 5 %."""
    return math.exp(min(log_e_value(counts), 700.0))


def decides(counts: PairedCounts, alpha: float) -> bool:
    """Whether the evidence is enough: asked after every pair, the probability of ever being wrong is at most alpha.

    Raises:
        VgilError: for an alpha that is not between 0 and 1.
    """
    return log_e_value(counts) >= -math.log(checked_share("alpha", alpha)) - 1e-12


def difference_sequence(counts: PairedCounts, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of the difference of success rates, first less second, that holds at every time at once.

    With the probability `confidence` it holds the true difference after every pair, however often one looks. It is
    wider than `difference_interval`, which is what looking costs. Ends are rounded outwards to the grid of 0.001.

    Raises:
        VgilError: for a confidence that is not between 0 and 1.
    """
    limit = -math.log(1 - checked_share("confidence", confidence)) - 1e-12
    kept = np.flatnonzero(_log_capital(counts, _grid_factors()) < limit)
    middle = round((counts.difference + 1) / 2 * (GRID - 1))
    low, high = min([middle, *kept[:1]]), max([middle, *kept[-1:]])
    zero = (GRID - 1) // 2  # rounding outwards must not take in the difference that the test has just excluded
    excluded = log_e_value(counts) >= limit
    low -= int(low > 0 and not (excluded and low == zero + 1))
    high += int(high < GRID - 1 and not (excluded and high == zero - 1))
    return round(2 * low / (GRID - 1) - 1, 9), round(2 * high / (GRID - 1) - 1, 9)


def log_capital(counts: PairedCounts, supposed: np.ndarray) -> np.ndarray:
    """Return the logarithm of what betting against each supposed difference (K,) has paid, (K,)."""
    return _log_capital(counts, _log_factors(supposed))


Factors = tuple[np.ndarray, np.ndarray, np.ndarray]  # of a first's, an equal and a second's pair, (K, NODES) each


def _log_factors(supposed: np.ndarray) -> Factors:
    """The logarithm of what each kind of pair multiplies each bet's capital by."""
    angles = (np.arange(NODES) + 0.5) * np.pi / NODES
    share = (1 + np.cos(angles)) / 2  # 0 to 1, Chebyshev's nodes: equal weights are Jeffreys' prior
    mean = supposed[:, None]
    with np.errstate(divide="ignore"):
        lowest, highest = np.maximum(-1 / (1 - mean), -STAKE), np.minimum(1 / (1 + mean), STAKE)
        bets = lowest + (highest - lowest) * share  # none can lose more than there is
        first, equal, second = (np.log(np.maximum(1 + bets * (end - mean), 0.0)) for end in (1.0, 0.0, -1.0))
    return first, equal, second


@cache
def _grid_factors() -> Factors:
    return _log_factors(np.linspace(-1.0, 1.0, GRID))


def _log_capital(counts: PairedCounts, factors: Factors) -> np.ndarray:
    total = np.zeros_like(factors[0])
    times = (counts.only_first, counts.both + counts.neither, counts.only_second)
    for count, factor in zip(times, factors, strict=True):
        if count:
            total += count * factor
    largest = total.max(1)
    finite = np.isfinite(largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.exp(total - np.where(finite, largest, 0.0)[:, None]).mean(1)
        return np.where(finite, largest + np.log(mean), -np.inf)
