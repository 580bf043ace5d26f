"""Consistency: how much the action differs where the state is the same, by episode, by operator, and in the whole set.

An estimate of the variance of the action given the state: each action, as a way from the measured position, is held
against the median of those of other episodes at the nearest states. Why it matters: A. Mandlekar et al., "What matters
in learning from offline human demonstrations", CoRL 2021 (sets of several operators, and of worse ones).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found, Moved
from vgil_ros.datasets.quality.features.track import MOMENTS
from vgil_ros.datasets.quality.pairs import LEAST_SPREAD
from vgil_ros.datasets.quality.robust import FAR, spread_of
from vgil_ros.episodes.checks.findings import Finding

POINTS, NEIGHBOURS = 16, 8  # of an episode; of a point
MOST_EPISODES, BLOCK = 256, 1024  # that the others are held against; points at a time
FLOOR, LEAST = 0.1, 0.02  # of the logarithm; rad, below which nothing is said
OPERATOR_EPISODES, TIMES = 4, 2.0


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes and operators whose actions are unlike the others' in the same states."""
    for group in data.alike:
        if group[0][1].qpos.path.shape != group[0][1].action.path.shape:
            continue
        squares, whole = unlike(group)
        scores = np.sqrt(squares)
        spread = spread_of(np.log(scores + 1e-4), FLOOR)
        most = max(float(np.exp(spread.usual()[1])), LEAST)
        for (one, _), score, z in zip(group, scores, spread.z, strict=True):
            if z > FAR and score > LEAST:
                message = (
                    f"differs by {score:.3g} rad from what others did in the same states; usual: up to {most:.2g} rad"
                )
                advice = "look whether it shows the task another way, or its action is another robot's; delete it if so"
                yield Found(one.number, Finding("warning", "consistency", "action", message), advice)
        yield from _operators(group, scores)
        if whole > 0:
            words = f"variance of the action given the state is {squares.mean() / whole:.0%} of all its variance"
            advice = "nothing: the lower, the easier to learn; compare it with that of your other data sets"
            yield Found(None, Finding("info", "consistency", "action", words), advice)


def _operators(group: Sequence[Moved], scores: np.ndarray) -> Iterator[Found]:
    by: dict[str, list[float]] = defaultdict(list)
    for (one, _), score in zip(group, scores.tolist(), strict=True):
        if one.operator:
            by[one.operator].append(score)
    middles = {name: float(np.median(own)) for name, own in by.items() if len(own) >= OPERATOR_EPISODES}
    for name, own in middles.items():
        rest = [middle for other, middle in middles.items() if other != name]
        most = max(TIMES * float(np.median(rest)), LEAST) if rest else np.inf
        if own > most:
            message = f"differs by {own:.3g} rad in the same states where '{name}' operates; usual: up to {most:.2g}"
            chosen = f"`vgil episodes filter DIR --where 'operator == \"{name}\"'`"
            advice = f"agree on one way of showing it; {chosen} lists them"
            yield Found(None, Finding("warning", "consistency", "action", message), advice)


def unlike(group: Sequence[Moved]) -> tuple[np.ndarray, float]:
    """(N,) mean square of what the neighbours' median action leaves, rad^2, and the mean square of all actions.

    An action is its way from the measured position; grippers are left out.
    """
    moments = np.linspace(0, MOMENTS - 1, POINTS).astype(int)
    columns = [i for i in range(group[0][1].qpos.path.shape[1]) if i not in group[0][0].grippers]
    states = np.stack([motion.qpos.path[moments] for _, motion in group])
    ways = np.stack([motion.action.path[moments] for _, motion in group]) - states
    ways = ways[..., columns]
    states = states / np.maximum(states.std(axis=(0, 1)), LEAST_SPREAD)
    chosen = np.unique(np.linspace(0, len(group) - 1, MOST_EPISODES).astype(int))
    pool, pool_ways = states[chosen].reshape(-1, states.shape[-1]), ways[chosen].reshape(-1, len(columns))
    pool_owner = np.repeat(chosen, POINTS)
    queries, owner = states.reshape(-1, states.shape[-1]), np.repeat(np.arange(len(group)), POINTS)
    squares = (pool**2).sum(axis=1)
    left = np.zeros(len(queries))
    for first in range(0, len(queries), BLOCK):
        part = slice(first, first + BLOCK)
        far = squares - 2.0 * (queries[part] @ pool.T)  # but for the query's own square, which orders nothing
        far[owner[part, None] == pool_owner] = np.inf
        near = np.argpartition(far, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        rest = ways.reshape(-1, len(columns))[part] - np.median(pool_ways[near], axis=1)
        left[part] = (rest**2).sum(axis=1)
    whole = float(((ways - ways.mean(axis=(0, 1))) ** 2).sum(axis=-1).mean())
    return left.reshape(len(group), POINTS).mean(axis=1), whole
