"""Replay metrics against plain loops, and the hints they give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vgil_ros.policies import PolicyError
from vgil_ros.policies.diagnostics.replay import diagnose, replay, replay_metrics

RANDOM = np.random.default_rng(0)


def test_against_plain_loops() -> None:
    actions = RANDOM.normal(size=(10, 3))
    starts = [0, 4, 8]
    chunks = RANDOM.normal(size=(3, 5, 3))
    errors: dict[int, list[np.ndarray]] = {h: [] for h in range(5)}
    for chunk, start in zip(chunks, starts, strict=True):
        for h in range(5):
            if start + h < 10:
                errors[h].append(np.abs(chunk[h] - actions[start + h]))
    every = np.array([e for rows in errors.values() for e in rows])
    found = replay_metrics(chunks, starts, actions, ["a", "b", "c"])
    np.testing.assert_allclose(found.l1_per_joint, every.mean(axis=0))
    np.testing.assert_allclose(found.l1, every.mean())
    np.testing.assert_allclose(found.l1_first, np.mean(errors[0], axis=0))
    np.testing.assert_allclose(found.l1_by_horizon, [np.mean(errors[h]) for h in range(5)])
    assert (found.names, found.predictions) == (("a", "b", "c"), 3)


def test_places_that_no_row_reaches_are_nan() -> None:
    found = replay_metrics(np.zeros((1, 4, 2)), [8], np.zeros((10, 2)))
    assert np.isnan(found.l1_by_horizon).tolist() == [False, False, True, True]
    assert found.names == ("0", "1")


def test_a_perfect_policy_is_not_suspected_and_a_wrongly_scaled_one_is() -> None:
    actions = np.cumsum(RANDOM.normal(size=(50, 2)), axis=0)

    def observe(row: int) -> dict[str, Any]:
        return {"row": row}

    def perfect(observation: Any) -> np.ndarray:
        return actions[np.minimum(observation["row"] + np.arange(6), 49)]

    metrics, chunks = replay(perfect, observe, actions, every=7)
    assert (metrics.l1, metrics.suspicion, chunks.shape) == (0.0, None, (8, 6, 2))
    metrics, _ = replay(lambda o: perfect(o) * 40 + 90, observe, actions)
    assert metrics.suspicion is not None
    assert "wrong normalisation, colour or camera order?" in metrics.suspicion


def test_a_policy_that_stays_where_it_is_is_found_out() -> None:
    """Its error is below that of the median action, which a robot that moves slowly leaves far behind."""
    actions = np.cumsum(np.full((60, 3), 0.02), axis=0)
    positions = actions[:, :2] - 0.03

    def staying(row: int) -> np.ndarray:
        return np.tile([*positions[row], actions[row, 2]], (5, 1))

    metrics, _ = replay(lambda o: staying(o["row"]), lambda row: {"row": row}, actions, 1, (), positions)  # type: ignore[typeddict-item, typeddict-unknown-key]
    assert metrics.l1 < metrics.l1_constant
    assert metrics.l1_moving == pytest.approx(metrics.l1_still)
    assert metrics.suspicion is not None
    assert metrics.suspicion.startswith("no better than staying still")
    good = np.stack([actions[np.minimum(row + np.arange(5), 59)] for row in range(60)])
    assert replay_metrics(good, range(60), actions, (), positions).suspicion is None
    still = np.zeros((60, 2))
    assert replay_metrics(np.zeros((60, 5, 2)), range(60), still, (), still).suspicion is None, "nothing moves in it"


def test_the_mistake_that_was_made_comes_first() -> None:
    def observation(seed: int) -> dict[str, Any]:
        random = np.random.default_rng(seed)
        images = {name: random.integers(0, 256, (4, 4, 3), dtype=np.uint8) for name in ("a", "b", "c")}
        return {"qpos": np.zeros(2), "images": images}

    def policy(observed: Any) -> np.ndarray:
        images = observed["images"]
        return np.array([[images["a"][..., 0].mean(), images["b"][..., 2].mean()]], float)

    seen = [observation(seed) for seed in range(6)]
    recorded = [policy(o)[0] for o in seen]
    assert not any(h.likely for h in diagnose(policy, seen, recorded))
    red_blue = [{**o, "images": {n: i[..., ::-1] for n, i in o["images"].items()}} for o in seen]
    best = diagnose(policy, red_blue, recorded)[0]
    assert (best.name, best.likely, best.l1) == ("red and blue swapped", True, 0.0)
    swapped = [{**o, "images": {"a": o["images"]["b"], "b": o["images"]["a"], "c": o["images"]["c"]}} for o in seen]
    best = diagnose(policy, swapped, recorded)[0]
    assert (best.name, best.likely, best.l1) == ("cameras: a <- b, b <- a", True, 0.0)


@pytest.mark.parametrize(
    ("chunks", "starts", "words"),
    [
        (np.zeros((1, 2, 3)), [0], "allowed are"),
        (np.zeros((0, 2, 2)), [], "at least one"),
        (np.zeros((1, 2, 2)), [10], "outside of the episode"),
        (np.full((1, 2, 2), np.nan), [0], "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(chunks: np.ndarray, starts: list[int], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        replay_metrics(chunks, starts, np.zeros((10, 2)))
