"""`compare` must find a fault from what a policy does, name it as the first, and find nothing where there is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.policies.contract import PolicyContract, fitted
from support.policies.flow_faults import FAULTS, FlippedAction, HalfNoise, MirroredTime, WrongWay, with_fault
from support.policies.flow_matching import look, small
from torch import Tensor

from vgil_ros.policies import PolicyError
from vgil_ros.policies.diagnostics.teacher_student import Comparison, compare
from vgil_ros.policies.flow_matching import FlowMatchingPolicy, FlowPolicy

CAMERA = {"name": "top", "height": 32, "width": 32}


def pair(fault: type[FlowPolicy] | None = None, **changes: Any) -> tuple[FlowMatchingPolicy, FlowPolicy]:
    """A healthy teacher of three steps, and a student with the same weights, and perhaps a fault."""
    torch.manual_seed(0)
    teacher = fitted(
        FlowMatchingPolicy(small(encoder_layers=0, action_layers=1, backbone="small", cameras=[CAMERA]))
    ).eval()
    assert isinstance(teacher, FlowMatchingPolicy)
    kind = FlowMatchingPolicy if fault is None else with_fault(fault, FlowMatchingPolicy)
    student = kind(teacher.config.model_copy(update=changes)).eval()
    student.load_state_dict(teacher.state_dict())
    return teacher, student


def run(teacher: FlowPolicy, student: FlowPolicy) -> Comparison:
    return compare(teacher, student, [PolicyContract().observation(teacher, 2, 1)])


@pytest.mark.parametrize(("kind", "stage", "words"), FAULTS, ids=[kind.__name__ for kind, *_ in FAULTS])
def test_a_planted_fault_is_the_first_named(kind: type[FlowPolicy], stage: str, words: str) -> None:
    found = run(*pair(kind))
    assert found.first is not None
    assert (found.first.stage, found.first.who) == (stage, "student"), found.faults
    assert words in found.first.words


@pytest.mark.parametrize("kind", [MirroredTime, WrongWay, FlippedAction])
def test_a_student_of_one_step_hides_nothing(kind: type[FlowPolicy]) -> None:
    stage = next(stage for one, stage, _ in FAULTS if one is kind)
    found = run(*pair(kind, steps=1))
    assert found.first is not None
    assert (found.first.stage, found.first.who) == (stage, "student")


def test_a_fault_of_the_teacher_is_its_own() -> None:
    student, teacher = pair(HalfNoise)
    assert [(fault.stage, fault.who) for fault in run(teacher, student).faults] == [("noise", "teacher")]


@pytest.mark.parametrize("changes", [{}, {"steps": 1}, {"steps": 2, "solver": "heun"}])
def test_a_healthy_pair_has_no_fault(changes: dict[str, Any]) -> None:
    teacher, student = pair(**changes)
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
    teacher, student = pair()
    student.normalizer.qpos.mean += 1.0
    found = run(teacher, student)
    assert found.first is not None
    assert (found.first.stage, found.first.who) == ("normalizer", "both")
    teacher, student = pair()
    student.normalizer.image_std *= 2.0
    first = run(teacher, student).first
    assert first is not None
    assert (first.stage, first.who) == ("images", "both")


def test_a_joint_that_learned_the_other_sign_is_found() -> None:
    teacher, student = pair()
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
    teacher, student = pair()
    other = fitted(FlowMatchingPolicy(small(padded_dim=9, cameras=[CAMERA]))).eval()
    assert isinstance(other, FlowMatchingPolicy)
    with pytest.raises(PolicyError, match="padded_dim: the teacher's is 8, the student's 9"):
        compare(teacher, other, [look(teacher)])
    with pytest.raises(PolicyError, match="found none"):
        compare(teacher, student, [])
