"""Seeded faults are found and named, healthy starts go: a small version of scripts/preflight_matrix.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("mujoco")
pytest.importorskip("torch")

from support.evaluation.preflight_faults import FAULTS, Score, Stand, healthy, seeded, shipped_stand

FIRST = 90_000  # no seed by which a threshold was chosen


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    """sim_single with the shipped checkpoint and its reference."""
    made = shipped_stand()
    yield made
    made.close()


@pytest.mark.parametrize("day", [False, True], ids=["as training", "on another day"])
def test_healthy_starts_go(stand: Stand, day: bool) -> None:
    score = healthy(stand, range(FIRST, FIRST + 4), day=day)
    assert score.found == 0, score.wrong


def test_nine_of_ten_faults_are_found_and_named(stand: Stand) -> None:
    whole = Score()
    for number, kind in enumerate(FAULTS):
        whole.add(seeded(stand, kind, range(FIRST + number, FIRST + number + 1)))
    assert whole.seeded == len(FAULTS) >= 20
    assert whole.named >= 0.9 * whole.seeded, whole.wrong
