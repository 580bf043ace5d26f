"""Several policies at once: corrected for their number, and what nobody can say is no evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.evaluation.comparing.several import compare_all, holm

levels = st.floats(1e-6, 1.0)


@given(st.lists(levels, min_size=1, max_size=6), st.floats(0.001, 0.5))
def test_holm_lies_between_bonferroni_and_no_correction(values: list[float], alpha: float) -> None:
    p_values = dict(enumerate(values))
    rejected = holm(p_values, alpha)
    assert {key for key, p in p_values.items() if p <= alpha / len(values)} <= rejected
    assert rejected <= {key for key, p in p_values.items() if p <= alpha * (1 + 1e-9)}
    assert all(p_values[key] <= p for key in rejected for other, p in p_values.items() if other not in rejected)


@given(st.lists(levels, min_size=1, max_size=6), st.integers(0, 5), st.floats(0.0, 1.0))
def test_more_evidence_never_unrejects(values: list[float], which: int, factor: float) -> None:
    before = dict(enumerate(values))
    after = {**before, which % len(values): values[which % len(values)] * max(factor, 1e-3)}
    assert holm(before, 0.05) <= holm(after, 0.05)


def test_a_known_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.024}, 0.05) == {"a", "b", "c"}
    assert holm({"a": 0.01, "b": 0.06, "c": 0.026}, 0.05) == {"a"}


def test_two_need_no_correction_and_three_do() -> None:
    two = compare_all([(True, False)] * 7, 0.05)
    assert [(one.decided, one.better) for one in two] == [(True, 0)]
    three = compare_all([(True, False, False)] * 7, 0.05)
    assert [one.better for one in three] == [None, None, None]
    more = compare_all([(True, False, False)] * 10, 0.05)
    assert [one.better for one in more] == [0, 0, None]
    assert more[0].interval[0] > 0


def test_what_nobody_can_say_is_no_evidence() -> None:
    blocks: list[tuple[bool | None, ...]] = [(True, None)] * 20 + [(True, True)]
    (verdict,) = compare_all(blocks, 0.05)
    assert (verdict.counts.pairs, verdict.e_value) == (1, pytest.approx(1.0))


def test_what_was_decided_stays_decided() -> None:
    """The p-value is that of the most evidence there was; the evidence now is told beside it."""
    (verdict,) = compare_all([(True, False)] * 8 + [(False, True)] * 8, 0.05)
    assert verdict.decided
    assert verdict.p_value < 0.05
    assert verdict.e_value < 1


def test_who_was_better_when_it_was_decided_stays_the_better_one() -> None:
    blocks = [(True, False, True)] * 9 + [(False, True, True)] * 9
    assert [one.better for one in compare_all(blocks, 0.05)] == [0, 2, 2]
    turned = [(False, True, True)] * 9 + [(True, False, True)] * 9
    assert [one.better for one in compare_all(turned, 0.05)] == [1, 2, 2]


def test_more_evidence_for_the_other_one_turns_it() -> None:
    (verdict,) = compare_all([(True, False)] * 7 + [(False, True)] * 40, 0.05)
    assert verdict.better == 1


def test_nothing_is_known_of_no_blocks() -> None:
    assert compare_all([], 0.05) == []


def test_three_equal_policies_are_rarely_told_apart() -> None:
    """Whenever one would have stopped: the running p-values remember it. The whole is wrong in less than 5 %."""
    random, wrong, sessions = np.random.default_rng(11), 0, 150
    for _ in range(sessions):
        blocks = (random.random((25, 3)) < 0.5).tolist()
        p_values = {(v.first, v.second): v.decided for v in compare_all(blocks, 0.05, intervals=False)}
        wrong += any(p_values.values())
    assert wrong <= 0.05 * sessions
