"""Sizes of a flow matching policy, and how it and its relatives integrate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from vgil_ros.core.config import StrictModel
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.flow_matching.flow import SolverName
from vgil_ros.policies.nn.backbones import BackboneName, BackboneNorm

Activation = Literal["relu", "gelu"]


class TeacherNote(StrictModel):
    """What a student was distilled from.

    Attributes:
        name: of the teacher's folder. weights: fingerprint of its weights.
        steps, solver: with which it integrated.
    """

    name: str
    weights: str
    steps: int = Field(gt=0)
    solver: SolverName


class FlowConfig(PolicyConfig):
    """What every policy that carries noise to actions along a velocity field is told.

    Attributes:
        padded_dim: width that state and actions are padded to with zeros inside of the network.
        task: text of the task where the observation names none, or an empty one; as in an episode without a task.
        steps, solver: of the integration from t = 1 (noise) to t = 0 (actions).
        seed: of the noise after each reset.
        teachers: what it was distilled from, oldest first; empty for one trained on demonstrations.
    """

    padded_dim: int = Field(default=32, gt=0)
    task: str | None = None
    steps: int = Field(default=10, gt=0)
    solver: SolverName = "euler"
    seed: int = Field(default=0, ge=0, lt=1 << 31)
    teachers: tuple[TeacherNote, ...] = ()

    @model_validator(mode="after")
    def _padding_fits(self) -> FlowConfig:
        widest = max(self.state_dim, self.action_dim)
        if self.padded_dim < widest:
            raise ValueError(f"padded_dim {self.padded_dim} is below {widest}, the width of state or action")
        return self

    def state_units(self, state: Tensor) -> Tensor:
        """Normalised state (..., D) -> as the network was trained: here the same."""
        return state

    def action_units(self, action: Tensor) -> Tensor:
        """Normalised actions (..., A) -> as the network was trained: here the same."""
        return action

    def action_from_units(self, action: Tensor) -> Tensor:
        """The way back of `action_units`."""
        return action


class FlowMatchingConfig(FlowConfig):
    """Configuration of flow matching. Cameras may be none: then state (and task) alone are seen.

    Attributes:
        encoder_layers: depth of the prefix's encoder. action_layers: depth of the velocity field.
        task_dim: width of the task's embedding; 0: the policy is told no task.
        dropout: used in training alone.
        draws: in training, noises and times for each observation, which is encoded once for all of them.
    """

    type: Literal["flow_matching"] = "flow_matching"
    hidden_dim: int = Field(default=512, gt=0)
    heads: int = Field(default=8, gt=0)
    feedforward_dim: int = Field(default=2048, gt=0)
    encoder_layers: int = Field(default=4, ge=0)
    action_layers: int = Field(default=4, gt=0)
    backbone: BackboneName = "resnet18"
    backbone_norm: BackboneNorm = "frozen"
    shared_backbone: bool = True
    activation: Activation = "gelu"
    pre_norm: Literal[True] = True
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    task_dim: int = Field(default=0, ge=0)
    draws: int = Field(default=1, gt=0)

    @model_validator(mode="after")
    def _sizes_fit(self) -> FlowMatchingConfig:
        if self.hidden_dim % self.heads:
            raise ValueError(f"hidden_dim {self.hidden_dim} is not divisible by heads {self.heads}")
        if self.hidden_dim % 4:
            raise ValueError(f"hidden_dim {self.hidden_dim} is not divisible by 4, which two-axis positions need")
        if self.task is not None and not self.task_dim:
            raise ValueError(f"task {self.task!r} is given, but task_dim 0 means that no task is told")
        return self

    @property
    def needs_task(self) -> bool:
        """See `PolicyConfig.needs_task`."""
        return self.task_dim > 0 and self.task is None
