"""`compare` must find a fault from what a policy does, name it as the first, and find nothing where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from contract import PolicyContract, fitted
from test_flow_matching import look, small
from torch import Tensor

from vgil_ros.policies import PolicyError
from vgil_ros.policies.diagnostics.teacher_student import Comparison, compare
from vgil_ros.policies.flow_matching import FlowMatchingPolicy
from vgil_ros.policies.flow_matching.flow import time_grid
from vgil_ros.policies.flow_matching.model import Prefix


class TrainMode(FlowMatchingPolicy):
    """Forgets to leave training mode before it predicts."""

    def _predict_chunk(self, observation: Mapping[str, Any]) -> Tensor:
        self.model.field.train()
        return super()._predict_chunk(observation)


class HalfNoise(FlowMatchingPolicy):
    """Rounds the noise, then brings it back to float32, so that no dtype shows it."""

    def noise_for(self, observation: Mapping[str, Any], batch: int) -> Tensor:
        return super().noise_for(observation, batch).half().float()


class HalfDrawn(FlowMatchingPolicy):
    """Draws in half precision, but takes given noise as it is."""

    def noise_for(self, observation: Mapping[str, Any], batch: int) -> Tensor:
        noise = super().noise_for(observation, batch)
        return noise if "noise" in observation else noise.half().float()


class PlainHalf(FlowMatchingPolicy):
    """Hands half precision to the network, which fails on it."""

    def noise_for(self, observation: Mapping[str, Any], batch: int) -> Tensor:
        return super().noise_for(observation, batch).half()


class ReversedTime(FlowMatchingPolicy):
    """Walks from t = 0 to t = 1."""

    def endpoint(self, velocity: Any, noise: Tensor) -> Tensor:
        x, steps = noise, self.config.steps
        for t in reversed(time_grid(steps)[1:]):
            x = x - velocity(x, x.new_full((len(x),), t)) / steps
        return x


class MirroredTime(FlowMatchingPolicy):
    """Tells the field 1 - t, as a network of the other convention wants it."""

    def velocity(self, prefix: Prefix) -> Any:
        return lambda x, t: self.model.field(x, 1 - t, prefix)


class WrongWay(FlowMatchingPolicy):
    """Adds the velocity where it should be taken off."""

    def endpoint(self, velocity: Any, noise: Tensor) -> Tensor:
        x, steps = noise, self.config.steps
        for t in time_grid(steps)[:-1]:
            x = x + velocity(x, x.new_full((len(x),), t)) / steps
        return x


class ShortGrid(FlowMatchingPolicy):
    """Leaves out the last step."""

    def endpoint(self, velocity: Any, noise: Tensor) -> Tensor:
        x, steps = noise, self.config.steps
        for t in time_grid(steps)[:-2]:
            x = x - velocity(x, x.new_full((len(x),), t)) / steps
        return x


class ScaledTwice(FlowMatchingPolicy):
    """Divides pixels by 255 before the normaliser does it again."""

    def encode(self, observation: Mapping[str, Any]) -> Prefix:
        scale = self.normalizer.normalize_images
        self.normalizer.normalize_images = lambda images, camera: scale(images / 255.0, camera)  # type: ignore[method-assign]
        try:
            return super().encode(observation)
        finally:
            self.normalizer.normalize_images = scale  # type: ignore[method-assign]


class NotUnpadded(FlowMatchingPolicy):
    """Hands the padded endpoint to the normaliser, which fails on it."""

    def to_robot_units(self, x: Tensor) -> Tensor:
        return self.normalizer.action.inverse(x)


class PaddedOut(FlowMatchingPolicy):
    """Gives the padding away as actions."""

    def to_robot_units(self, x: Tensor) -> Tensor:
        return torch.cat([super().to_robot_units(x), x[..., self.config.action_dim :]], dim=-1)


class WrongColumns(FlowMatchingPolicy):
    """Takes the padding off at the wrong end."""

    def to_robot_units(self, x: Tensor) -> Tensor:
        return self.normalizer.action.inverse(x[..., -self.config.action_dim :])


class FlippedAction(FlowMatchingPolicy):
    """Turns joint 3 round on its way out."""

    def _predict_chunk(self, observation: Mapping[str, Any]) -> Tensor:
        chunk = super()._predict_chunk(observation)
        chunk[..., 3] *= -1
        return chunk


class FlippedState(FlowMatchingPolicy):
    """Turns joint 1 round on its way in."""

    def encode(self, observation: Mapping[str, Any]) -> Prefix:
        qpos = np.array(observation["qpos"])
        qpos[:, 1] *= -1
        return super().encode({**observation, "qpos": qpos})


class NormalisedTwice(FlowMatchingPolicy):
    """Normalises the state before the network's own path does it."""

    def encode(self, observation: Mapping[str, Any]) -> Prefix:
        qpos = self.normalizer.qpos(torch.from_numpy(observation["qpos"]))
        return super().encode({**observation, "qpos": qpos})


CAMERA = {"name": "top", "height": 32, "width": 32}
FAULTS: list[tuple[type[FlowMatchingPolicy], str, str]] = [
    (TrainMode, "mode", "run in training mode"),
    (HalfNoise, "noise", "rounded to torch.float16 on its way"),
    (HalfDrawn, "noise", "drawn in torch.float16"),
    (PlainHalf, "noise", "torch.float16"),
    (ScaledTwice, "images", "contrast 0.00392"),
    (NormalisedTwice, "normalizer", "normalised twice"),
    (NotUnpadded, "padding", "8 wide, an action 5: RuntimeError"),
    (PaddedOut, "padding", "actions come out 8 wide"),
    (WrongColumns, "padding", "columns 3 to 7"),
    (ShortGrid, "time_grid", "t = 1, 0.667, promised 1, 0.667, 0.333"),
    (ReversedTime, "direction", "time runs back"),
    (MirroredTime, "direction", "time runs back"),
    (WrongWay, "direction", "along the velocity"),
    (FlippedAction, "sign", "actions of joint 3 are turned round"),
    (FlippedState, "sign", "state of joint 1 is turned round"),
]


def pair(kind: type[FlowMatchingPolicy], **changes: Any) -> tuple[FlowMatchingPolicy, FlowMatchingPolicy]:
    """A healthy teacher of three steps, and a student of `kind` with the same weights."""
    torch.manual_seed(0)
    teacher = fitted(
        FlowMatchingPolicy(small(encoder_layers=0, action_layers=1, backbone="small", cameras=[CAMERA]))
    ).eval()
    assert isinstance(teacher, FlowMatchingPolicy)
    student = kind(teacher.config.model_copy(update=changes)).eval()
    student.load_state_dict(teacher.state_dict())
    return teacher, student


def run(teacher: FlowMatchingPolicy, student: FlowMatchingPolicy) -> Comparison:
    return compare(teacher, student, [PolicyContract().observation(teacher, 2, seed) for seed in (1,)])


@pytest.mark.parametrize(("kind", "stage", "words"), FAULTS, ids=[kind.__name__ for kind, *_ in FAULTS])
def test_a_planted_fault_is_the_first_named(kind: type[FlowMatchingPolicy], stage: str, words: str) -> None:
    found = run(*pair(kind))
    assert found.first is not None
    assert (found.first.stage, found.first.who) == (stage, "student"), found.faults
    assert words in found.first.words


@pytest.mark.parametrize("kind", [MirroredTime, WrongWay, FlippedAction])
def test_a_student_of_one_step_hides_nothing(kind: type[FlowMatchingPolicy]) -> None:
    stage = next(stage for one, stage, _ in FAULTS if one is kind)
    found = run(*pair(kind, steps=1))
    assert found.first is not None
    assert (found.first.stage, found.first.who) == (stage, "student")


def test_a_fault_of_the_teacher_is_its_own() -> None:
    student, teacher = pair(HalfNoise)
    assert [(fault.stage, fault.who) for fault in run(teacher, student).faults] == [("noise", "teacher")]


@pytest.mark.parametrize("changes", [{}, {"steps": 1}, {"steps": 2, "solver": "heun"}])
def test_a_healthy_pair_has_no_fault(changes: dict[str, Any]) -> None:
    teacher, student = pair(FlowMatchingPolicy, **changes)
    found = run(teacher, student)
    assert found.faults == ()
    assert found.first is None
    assert len(found.notes) == len(changes)
    assert found.l1_per_joint is not None
    assert found.l1_per_joint.shape == (5,)
    assert (found.l1_per_joint.max() < 1e-5) == (not changes)
    assert found.straightness["teacher"] == pytest.approx(found.straightness["student"])
    assert not teacher.model.field._forward_pre_hooks, "no probe stays behind"


def test_faults_within_a_checkpoint_are_found() -> None:
    """Weights and statistics alone: nothing in the student's code differs."""
    teacher, student = pair(FlowMatchingPolicy)
    student.normalizer.qpos.mean += 1.0
    found = run(teacher, student)
    assert found.first is not None
    assert (found.first.stage, found.first.who) == ("normalizer", "both")
    teacher, student = pair(FlowMatchingPolicy)
    student.normalizer.image_std *= 2.0
    first = run(teacher, student).first
    assert first is not None
    assert (first.stage, first.who) == ("images", "both")


def test_a_joint_that_learned_the_other_sign_is_found() -> None:
    teacher, student = pair(FlowMatchingPolicy)
    for policy in (teacher, student):  # a clear way out of the noise: every action at 1 in the network's units
        policy.model.field.forward = _towards(torch.ones(8))  # type: ignore[method-assign]
    target = torch.ones(8)
    target[2] = -1.0
    student.model.field.forward = _towards(target)  # type: ignore[method-assign]
    found = run(teacher, student)
    assert [(fault.stage, fault.who) for fault in found.faults] == [("sign", "both")]
    assert "joint 2 the other way round" in found.faults[0].words


def _towards(target: Tensor) -> Any:
    return lambda x, t, prefix, is_pad=None: (x - target) / t[:, None, None]


def test_several_faults_come_in_order() -> None:
    class Twice(HalfNoise, FlippedAction):
        pass

    found = run(*pair(Twice))
    assert [fault.stage for fault in found.faults] == ["noise", "sign"]


def test_what_cannot_be_compared_is_said() -> None:
    teacher, student = pair(FlowMatchingPolicy)
    other = fitted(FlowMatchingPolicy(small(padded_dim=9, cameras=[CAMERA]))).eval()
    assert isinstance(other, FlowMatchingPolicy)
    with pytest.raises(PolicyError, match="padded_dim: the teacher's is 8, the student's 9"):
        compare(teacher, other, [look(teacher)])
    with pytest.raises(PolicyError, match="found none"):
        compare(teacher, student, [])
