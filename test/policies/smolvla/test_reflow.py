"""Reflow of a SmolVLA: a student of one step keeps both of two answers, and `compare` names what goes wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.policies.contract import PolicyContract
from support.policies.flow_faults import FAULTS, with_fault
from support.policies.smolvla import made

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vgil_ros[vla]'")

from vgil_ros.policies import Normalizer
from vgil_ros.policies.diagnostics.teacher_student import compare
from vgil_ros.policies.flow_matching import FlowPolicy
from vgil_ros.policies.smolvla import SmolVlaPolicy
from vgil_ros.training.distillation import Reflow, make_student

BATCH, SPREAD = 128, 0.05
STAGES = {"mode", "noise", "images", "normalizer", "padding", "time_grid", "direction", "sign"}


def two_answers(**changes: Any) -> SmolVlaPolicy:
    """One action of two joints: +1 or -1 on both, whatever is seen."""
    as_they_are = {"qpos": {"mode": "identity"}, "action": {"mode": "identity"}, "images": {"mode": "unit"}}
    policy = made(
        state_dim=1,
        action_dim=2,
        padded_dim=3,
        chunk_size=1,
        cameras=[{"name": "top", "height": 16, "width": 16}],
        expert_dim=48,
        expert_feedforward_dim=96,
        steps=10,
        normalization=as_they_are,
        **changes,
    )
    policy.set_normalizer(Normalizer(1, 2, 1, policy.config.normalization))
    return policy


def look(policy: SmolVlaPolicy, count: int) -> dict[str, Any]:
    """`count` observations, all alike, with what the frozen part makes of them."""
    one: dict[str, Any] = {"qpos": torch.zeros(1, 1), "images": {"top": torch.zeros(1, 16, 16, 3, dtype=torch.uint8)}}
    frozen = {name: part.expand(count, *part.shape[1:]) for name, part in policy.frozen(one).items()}
    images = {"top": one["images"]["top"].expand(count, -1, -1, -1)}
    return {"qpos": torch.zeros(count, 1), "images": images, "frozen": frozen}


def train(policy: SmolVlaPolicy, steps: int, change: Any = lambda batch: batch) -> None:
    torch.manual_seed(0)
    random, seen = np.random.default_rng(0), look(policy, BATCH)
    optimiser = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=4e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    policy.train()
    for _ in range(steps):
        action = random.choice([-1.0, 1.0], size=(BATCH, 1, 1)) + SPREAD * random.normal(size=(BATCH, 1, 2))
        batch = {**seen, "action": torch.from_numpy(action.astype(np.float32)), "is_pad": torch.zeros(BATCH, 1).bool()}
        optimiser.zero_grad()
        policy.compute_loss(change(batch)).loss.backward()
        optimiser.step()
        schedule.step()
    policy.eval()


def chunks(policy: SmolVlaPolicy, noise: torch.Tensor) -> np.ndarray:
    """(N, 2) actions from noise (N, 1, 3)."""
    return policy.predict_chunk({**look(policy, len(noise)), "noise": noise})[:, 0].numpy()


def near(actions: np.ndarray) -> np.ndarray:
    """(N,) bool: on one of the two answers, both joints alike."""
    return np.abs(np.abs(actions) - 1).max(axis=1) < 0.35


def test_a_one_step_student_lands_on_both_answers() -> None:
    teacher = two_answers()
    train(teacher, 250)
    hasty = make_student(teacher, teacher.config.model_copy(update={"steps": 1}))
    student = make_student(teacher, teacher.config.model_copy(update={"steps": 1}))
    assert isinstance(student, SmolVlaPolicy)
    assert isinstance(hasty, SmolVlaPolicy)
    train(student, 200, Reflow(teacher, 1))
    noise = torch.randn(600, 1, 3, generator=torch.Generator().manual_seed(1))
    ours, theirs, hurried = (chunks(policy, noise) for policy in (teacher, student, hasty))
    print(near(ours).mean(), near(theirs).mean(), near(hurried).mean())
    assert near(ours).mean() > 0.9
    assert near(hurried).mean() < 0.1
    assert near(theirs).mean() >= 0.9
    for sign in (-1, 1):
        assert (near(theirs) & (theirs[:, 0] * sign > 0)).mean() > 0.3, "both answers"
    assert (np.sign(ours[:, 0]) == np.sign(theirs[:, 0])).mean() > 0.93, "the same noise goes the same way"
    for ours_, theirs_ in zip(
        teacher.model.prefix.vlm.parameters(), student.model.prefix.vlm.parameters(), strict=True
    ):
        assert torch.equal(ours_, theirs_), "the vision-language model never learns"


def test_what_is_frozen_is_encoded_once_for_teacher_and_student() -> None:
    teacher = made()
    student = make_student(teacher, teacher.config.model_copy(update={"steps": 1}))
    batch, calls = PolicyContract().batch(teacher), [0]
    for policy in (teacher, student):
        policy.model.prefix.vlm.connector.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
    taught = Reflow(teacher, 1)(batch)
    student.compute_loss(taught)
    assert sum(calls) == 2, "two cameras, once"
    with torch.no_grad():
        noise = {"noise": taught["noise"]}
        kept = teacher.predict_chunk({**batch, **noise})
        torch.testing.assert_close(teacher.predict_chunk({**batch, **noise, "frozen": taught["frozen"]}), kept)
    torch.testing.assert_close(teacher.to_robot_units(taught["endpoint"]), kept)


@pytest.mark.parametrize("aloha", [False, True], ids=["plain", "aloha"])
def test_a_healthy_pair_has_no_fault(aloha: bool) -> None:
    more = {"state_dim": 14, "action_dim": 14, "padded_dim": 16} if aloha else {}
    teacher = made(adapt_to_pi_aloha=aloha, **more)
    student = make_student(teacher, teacher.config.model_copy(update={"steps": 1})).eval()
    found = compare(teacher, student, [PolicyContract().observation(teacher, 2, 1)])
    assert found.faults == ()
    assert found.straightness["teacher"] == pytest.approx(found.straightness["student"])


@pytest.mark.parametrize(("fault", "stage", "words"), FAULTS, ids=[fault.__name__ for fault, *_ in FAULTS])
def test_a_planted_fault_is_the_first_named(fault: type[FlowPolicy], stage: str, words: str) -> None:
    assert {one for _, one, _ in FAULTS} == STAGES
    teacher = made()
    student = with_fault(fault, SmolVlaPolicy)(teacher.config).eval()
    student.set_files(teacher.files)
    student.load_state_dict(teacher.state_dict())
    found = compare(teacher, student, [PolicyContract().observation(teacher, 2, 1)])
    assert found.first is not None
    assert (found.first.stage, found.first.who) == (stage, "student"), found.faults
    assert words in found.first.words
