"""What the base class of all policies promises of `predict_chunk`, whoever calls it and however often at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from contract import fitted
from torch import Tensor, nn

from vgil_ros.policies import LossOutput, Policy, PolicyConfig

OBSERVATION: dict[str, Any] = {"qpos": torch.ones(1, 2), "images": {}}


class Dropping(Policy):
    """Loses half of its input in training mode; `between` stands in the middle of a call."""

    def __init__(self) -> None:
        super().__init__(PolicyConfig(type="dropping", state_dim=2, action_dim=2, chunk_size=64, cameras=()))
        self.weight = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(0.5)
        self.between: Any = lambda: None

    def _predict_chunk(self, observation: Any) -> Tensor:
        self.between()
        return self.dropout(self.weight * observation["qpos"][:, None].expand(-1, self.config.chunk_size, -1))

    def compute_loss(self, batch: Any) -> LossOutput:
        loss = self.dropout(self.weight * batch["qpos"]).square().mean()
        return LossOutput(loss, {"square": loss.detach()})


def test_the_first_of_two_calls_to_end_does_not_switch_the_others_mode() -> None:
    policy = fitted(Dropping()).train()
    both_within, first_done = threading.Barrier(2, timeout=20), threading.Event()

    def between() -> None:
        if both_within.wait() == 0:  # one of the two waits until the other's call has ended
            assert first_done.wait(20)

    policy.between = between
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(policy.predict_chunk, OBSERVATION) for _ in range(2)]
        for call in calls:
            call.add_done_callback(lambda _: first_done.set())
        chunks = [call.result(timeout=30) for call in calls]
    for chunk in chunks:
        assert torch.equal(chunk, torch.ones(1, 64, 2)), "no value was dropped"
    assert policy.training
    assert policy.dropout.training


def test_a_call_within_a_training_step_leaves_the_loss_its_gradients() -> None:
    policy = fitted(Dropping()).train()
    before = policy.compute_loss({"qpos": torch.ones(1, 2)})
    chunk = policy.predict_chunk(OBSERVATION)
    after = policy.compute_loss({"qpos": torch.ones(64, 2)})
    assert not chunk.requires_grad
    assert before.loss.requires_grad
    assert after.loss.requires_grad
    torch.manual_seed(0)
    assert bool((policy.dropout(torch.ones(64)) == 0).any()), "dropout is back"
