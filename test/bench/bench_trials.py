"""Trials by the ten thousand: how often equal policies are told apart, how often unequal ones, and how soon.

    pytest -s -m bench test/bench/bench_trials.py

Attempts succeed by chance; each session is looked at after every block, as `vgil trial` does, up to BLOCKS. They are
decided all at once here; that this decides as the state machine of a trial does is shown on a hundred of them. The
fixed-size test beside it is McNemar's exact one on as many blocks as are allowed.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from support.evaluation.made_trials import ORDER, attempted, plan_of

from vgil_ros.evaluation.comparing.paired import PairedCounts, mcnemar_exact
from vgil_ros.evaluation.comparing.sequential import log_e_of
from vgil_ros.evaluation.trials.session import TrialSession, TrialState

SESSIONS, BLOCKS, MORE, ALPHA = 10_000, 50, 100, 0.05
EQUAL = ((0.5, 0.5), (0.7, 0.7), (0.9, 0.9), (0.5, 0.5, 0.5), (0.8, 0.8, 0.8))
UNEQUAL = ((0.9, 0.3), (0.9, 0.5), (0.9, 0.6), (0.9, 0.7), (0.9, 0.8), (0.7, 0.5))

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]


def told_apart(done: np.ndarray) -> np.ndarray:
    """Which pairs of policies are told apart after each block, (S, T, pairs), of successes (S, T, policies)."""
    table = np.array([[log_e_of(i, j) for j in range(done.shape[1] + 1)] for i in range(done.shape[1] + 1)])
    pairs = list(combinations(range(done.shape[2]), 2))
    first = np.stack([(done[..., i] & ~done[..., j]).cumsum(1) for i, j in pairs], -1)
    second = np.stack([(done[..., j] & ~done[..., i]).cumsum(1) for i, j in pairs], -1)
    largest = np.maximum.accumulate(table[first, second], axis=1)
    order = np.argsort(-largest, axis=-1, kind="stable")
    limits = np.log(np.arange(len(pairs), 0, -1) / ALPHA) - 1e-12
    passed = np.logical_and.accumulate(np.take_along_axis(largest, order, -1) >= limits, axis=-1)
    found = np.zeros_like(passed)
    np.put_along_axis(found, order, passed, -1)
    return found


def sessions_of(rates: tuple[float, ...], seed: int, blocks: int = BLOCKS) -> np.ndarray:
    """Successes, (SESSIONS, blocks, policies)."""
    return np.random.default_rng(seed).random((SESSIONS, blocks, len(rates))) < rates


def blocks_used(found: np.ndarray) -> np.ndarray:
    """Blocks until all pairs are told apart, all where they never are; (S,)."""
    whole = np.asarray(found.all(axis=-1))
    return np.where(whole.any(1), whole.argmax(1) + 1, found.shape[1])


@pytest.mark.parametrize("rates", [(0.9, 0.6), (0.5, 0.5), (0.9, 0.5, 0.2)], ids=str)
def test_the_state_machine_decides_alike(rates: tuple[float, ...]) -> None:
    done = sessions_of(rates, 4)[:34]
    for blocks, used in zip(done, blocks_used(told_apart(done)), strict=True):
        session = TrialSession(plan_of(len(rates), max_blocks=BLOCKS), ORDER)
        while session.state is not TrialState.DONE:
            attempt = session.attempt
            attempted(session, "y" if blocks[attempt.block, attempt.contender] else "n")
        assert len(session.counted) == used * len(rates)


@pytest.mark.parametrize("rates", EQUAL, ids=str)
def test_equal_policies(rates: tuple[float, ...]) -> None:
    wrong = told_apart(sessions_of(rates, 1)).any((1, 2)).mean()
    print(f"\nequal {rates}: {SESSIONS} sessions of at most {BLOCKS} blocks, some told apart in {wrong:.2%}")
    assert wrong <= ALPHA


def test_mcnemar_looked_at_after_every_block_is_no_such_test() -> None:
    done = sessions_of((0.5, 0.5), 1)[:1000]
    wrong = np.mean([any(mcnemar(one[:blocks]) <= ALPHA for blocks in range(1, BLOCKS + 1)) for one in done])
    print(f"\nequal (0.5, 0.5): McNemar after every block until it is significant, told apart in {wrong:.1%}")
    assert wrong > ALPHA


@pytest.mark.parametrize("blocks", [BLOCKS, MORE])
@pytest.mark.parametrize("rates", UNEQUAL, ids=str)
def test_unequal_policies(rates: tuple[float, ...], blocks: int) -> None:
    done = sessions_of(rates, 2, blocks)
    found = told_apart(done)[..., 0]
    used, decided = blocks_used(found[..., None]), found.any(1)
    counted = np.arange(blocks) < used[:, None]
    ahead = ((done[..., 0].astype(int) - done[..., 1]) * counted).sum(1)
    wrong = (decided & (ahead <= 0)).mean()
    fixed = np.mean([mcnemar(one) <= ALPHA for one in done])
    print(
        f"\n{rates}, at most {blocks} blocks: told apart {decided.mean():.1%} (wrongly {wrong:.1%}),"
        f" blocks {used.mean():.1f} in the mean, median {np.median(used):.0f}; McNemar after all of them {fixed:.1%}"
    )
    assert wrong <= ALPHA


def mcnemar(done: np.ndarray) -> float:
    """Of successes (T, 2)."""
    return mcnemar_of(int((done[:, 0] & ~done[:, 1]).sum()), int((done[:, 1] & ~done[:, 0]).sum()))


@cache
def mcnemar_of(first: int, second: int) -> float:
    """Of the pairs that tell them apart."""
    return mcnemar_exact(PairedCounts(only_first=first, only_second=second))
