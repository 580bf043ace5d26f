"""A diffusion policy learns a small set, the right tick of it, in a few steps of DDIM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vgil_ros.policies import Normalizer, PolicyError
from vgil_ros.policies.diffusion import DiffusionConfig, DiffusionPolicy
from vgil_ros.policies.diffusion.trajectory import known_back, trajectory

ROWS, STEPS = 40, 200
TICK = np.arange(ROWS)
ACTION = np.stack([np.sin(TICK / 3), np.cos(TICK / 3)], axis=1).astype(np.float32)
QPOS = np.stack([np.sin((TICK - 1) / 3), np.cos((TICK - 1) / 3)], axis=1).astype(np.float32)  # one tick behind


def config(**changes: Any) -> DiffusionConfig:
    values = {"state_dim": 2, "action_dim": 2, "n_obs_steps": 2, "horizon": 8, "cameras": [], "down_dims": [32, 64]}
    steps = {"step_embed_dim": 16, "train_steps": 20, "inference_steps": 5, "prediction_type": "sample"}
    return DiffusionConfig.model_validate({**values, **steps, **changes})


def observed(rows: np.ndarray, obs_offsets: tuple[int, ...] = (1,)) -> dict[str, Any]:
    """What a data set gives of the one episode; the row itself stands where there was none before it."""
    before = rows[:, None] - np.array(obs_offsets, int)
    known = before >= 0
    source = np.where(known, before, rows[:, None])
    past = {"qpos": QPOS[source], "images": {}, "known": known, "action": ACTION[source]}
    return {"qpos": QPOS[rows], "images": {}, "past": past}


def batch(rows: np.ndarray, one: DiffusionConfig) -> dict[str, Any]:
    ahead = rows[:, None] + np.arange(one.chunk_size)
    return {
        **observed(rows, one.obs_offsets),
        "action": ACTION[np.minimum(ahead, ROWS - 1)],
        "is_pad": ahead >= ROWS,
    }


def test_the_horizon_begins_at_the_oldest_observation() -> None:
    """At each place the action of that tick; before the first and behind the last one, copies, marked as such."""
    one = config(n_obs_steps=3)
    actions, is_pad = trajectory(one, batch(TICK, one), torch.device("cpu"))
    for row in TICK:
        ticks = row - 2 + np.arange(8)
        np.testing.assert_array_equal(actions[row], ACTION[np.clip(ticks, 0, ROWS - 1)])
        assert is_pad[row].tolist() == [bool(tick < 0 or tick >= ROWS) for tick in ticks]


def test_copies_do_not_come_from_what_is_marked_unknown() -> None:
    one = config(n_obs_steps=3)
    told = batch(np.array([10, ROWS - 2]), one)
    told["past"]["known"] = np.array([[True, False], [False, True]])
    told["past"]["action"][~told["past"]["known"]] = 77.0
    told["action"][told["is_pad"]] = 77.0
    actions, is_pad = trajectory(one, told, torch.device("cpu"))
    np.testing.assert_array_equal(actions[0], ACTION[np.maximum(8 + np.arange(8), 10)])
    np.testing.assert_array_equal(actions[1], ACTION[np.clip(ROWS - 4 + np.arange(8), ROWS - 3, ROWS - 1)])
    assert is_pad[0].tolist() == [True, True] + [False] * 6, "what lies behind a gap is not the near past"
    assert known_back(torch.tensor([[True, False, True]])).tolist() == [[False, False, True]]


def test_a_past_without_its_actions_is_refused() -> None:
    one = config()
    told = batch(TICK, one)
    del told["past"]["action"]
    with pytest.raises(PolicyError, match=r"past: \['action'\] missing, found \['images', 'known', 'qpos'\]"):
        trajectory(one, told, torch.device("cpu"))
    told["past"]["action"] = np.zeros((ROWS, 1, 3), np.float32)
    with pytest.raises(PolicyError, match="past action: found shape"):
        trajectory(one, told, torch.device("cpu"))


@pytest.mark.parametrize("masked", [False, True])
def test_copies_count_in_the_loss_unless_masked(masked: bool) -> None:
    torch.manual_seed(0)
    one = config(mask_padding=masked, n_obs_steps=1)
    policy = DiffusionPolicy(one)
    policy.set_normalizer(Normalizer.fit(one.normalization, QPOS, ACTION, 0))
    told = {key: value for key, value in batch(np.array([ROWS - 2]), one).items() if key != "past"}

    with torch.no_grad():  # a network that answers nothing: the loss is the mean square of what was asked for
        policy.model.unet.head.weight.zero_()
        policy.model.unet.head.bias.zero_()
    target = policy.normalizer.action(torch.from_numpy(told["action"]))
    wanted = target[:, :2] if masked else target
    torch.testing.assert_close(policy.compute_loss(told).loss.detach(), wanted.square().mean())


def test_it_learns_a_small_set_and_the_right_tick_of_it() -> None:
    one = config()
    torch.manual_seed(0)
    policy = DiffusionPolicy(one)
    policy.set_normalizer(Normalizer.fit(one.normalization, QPOS, ACTION, 0))
    optimiser, random = torch.optim.AdamW(policy.parameters(), lr=5e-3), np.random.default_rng(0)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * min(1.0, (step + 1) / 20) * (1 - step / STEPS)
        loss = policy.compute_loss(batch(random.integers(0, ROWS, 64), one)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    rows = np.arange(2, ROWS - one.chunk_size - 1)
    chunk = policy.eval().predict_chunk(observed(rows)).numpy()

    def error(shift: int) -> float:
        return float(np.abs(chunk - ACTION[rows[:, None] + np.arange(one.chunk_size) + shift]).mean())

    assert error(0) < 0.08
    assert error(0) < 0.5 * min(error(-1), error(1)), "a tick early or late is another chunk"
