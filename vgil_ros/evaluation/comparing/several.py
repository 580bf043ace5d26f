"""Several comparisons at once: all pairs of policies, held together so that the whole is wrong at most so often."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from vgil_ros.evaluation.comparing.paired import PairedCounts, checked_share
from vgil_ros.evaluation.comparing.sequential import difference_sequence, e_value, log_e_of

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class PairVerdict:
    """What is known of two policies of several.

    Attributes:
        first, second: which, by number.
        counts: their pairs.
        e_value: the evidence against equal success rates, now.
        p_value: 1 over the largest that it has been, at most 1; valid at any time. Not corrected for the others.
        leader: which of them led then; `first` where there never was any evidence.
        decided: whether they are told apart, with all the others considered (Holm).
        interval: of the difference of success rates, valid at any time and for all the pairs together (Bonferroni).
    """

    first: int
    second: int
    counts: PairedCounts
    e_value: float
    p_value: float
    leader: int
    decided: bool
    interval: tuple[float, float]

    @property
    def better(self) -> int | None:
        """Which one is better, by the evidence that decided it; None where that is not known."""
        return self.leader if self.decided else None


def holm(p_values: Mapping[Key, float], alpha: float) -> set[Key]:
    """Return which hypotheses are rejected: the probability of rejecting any true one is at most alpha.

    Valid however the p-values depend on each other. With p-values that are valid at any time it is too, since each is 1
    over the largest e-value so far: what is rejected stays rejected.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Raises:
        VgilError: for an alpha that is not between 0 and 1.
    """
    checked_share("alpha", alpha)
    rejected: set[Key] = set()
    for rank, key in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        if p_values[key] > alpha / (len(p_values) - rank) * (1 + 1e-12):
            break
        rejected.add(key)
    return rejected


def compare_all(blocks: Sequence[Sequence[bool | None]], alpha: float, *, intervals: bool = True) -> list[PairVerdict]:
    """Compare all pairs of policies, one after each block looked at.

    Args:
        blocks: of each block, whether each policy succeeded; None where nobody can say: such a block says nothing of
            the pairs that this policy is in.
        alpha: the probability, at most, of telling any two apart that are equal, whenever one stops.
        intervals: False leaves them at -1 to 1, where only the decisions are wanted.

    Returns:
        A verdict for each pair, in the policies' order; none of no blocks.
    """
    checked_share("alpha", alpha)
    names = list(combinations(range(len(blocks[0]) if blocks else 0), 2))
    pairs = {(i, j): _known(blocks, i, j) for i, j in names}
    smallest = {key: _smallest_p(outcomes) for key, outcomes in pairs.items()}
    p_values = {key: p_value for key, (p_value, _) in smallest.items()}
    rejected = holm(p_values, alpha)
    confidence = 1 - alpha / max(1, len(names))
    verdicts = []
    for key, outcomes in pairs.items():
        counts = PairedCounts.of(outcomes)
        interval = difference_sequence(counts, confidence) if intervals else (-1.0, 1.0)
        p_value, second_led = smallest[key]
        verdicts.append(PairVerdict(*key, counts, e_value(counts), p_value, key[second_led], key in rejected, interval))
    return verdicts


def _known(blocks: Sequence[Sequence[bool | None]], i: int, j: int) -> list[tuple[bool, bool]]:
    found = ((block[i], block[j]) for block in blocks)
    return [(first, second) for first, second in found if first is not None and second is not None]


def _smallest_p(outcomes: Sequence[tuple[bool, bool]]) -> tuple[float, bool]:
    """1 over the largest e-value on the way, and whether the second one led then."""
    first = second = 0
    largest, second_led = 0.0, False
    for one, other in outcomes:
        if one == other:
            continue
        first, second = first + one, second + other
        if (evidence := log_e_of(first, second)) > largest:
            largest, second_led = evidence, second > first
    return math.exp(-largest), second_led
