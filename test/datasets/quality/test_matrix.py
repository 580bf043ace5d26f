"""Seeded faults are found, clean episodes are left alone: a small version of scripts/quality_matrix.py."""

from __future__ import annotations

import pytest
from support.episodes.corruptions import CLEAN, KINDS, WHOLE, WHOLE_KINDS, Score, matrix

EPISODES, FAULTS, FEWER, SEED = 24, 1, 12, 7001  # no seed by which a threshold was chosen


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Score]:
    return matrix(tmp_path_factory.mktemp("sets"), [SEED], EPISODES, FAULTS, FEWER)


def total(scores: dict[str, Score]) -> Score:
    whole = Score()
    for score in scores.values():
        whole.add(score)
    return whole


def test_nine_of_ten_faults_are_found(scores: dict[str, Score]) -> None:
    whole = total(scores)
    assert whole.seeded >= len(KINDS) + len(WHOLE_KINDS)
    missed = {name: f"{score.found} of {score.seeded}" for name, score in scores.items() if score.found < score.seeded}
    assert whole.found >= 0.9 * whole.seeded, missed


def test_every_kind_is_found(scores: dict[str, Score]) -> None:
    assert [name for name, score in scores.items() if score.seeded and not score.found] == []


def test_at_most_one_clean_episode_in_twenty_is_flagged(scores: dict[str, Score]) -> None:
    clean = scores[CLEAN]
    assert clean.clean == EPISODES
    assert clean.flagged <= 0.05 * clean.clean
    assert not scores[WHOLE].flagged
    whole = total(scores)
    assert whole.flagged <= 0.05 * whole.clean
