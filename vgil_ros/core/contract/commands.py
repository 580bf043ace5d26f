"""How an arm, and a gripper that is commanded apart from it, takes its commands."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import JointName, Number, Range, TopicName, two_values

ACTIONS = ("gripper_command", "parallel_gripper_command")  # control_msgs' actions; `topic` is the action's name
OF_ONE_JOINT = ("float32", "float64", *ACTIONS)
Effort = Number | None  # N or Nm


class CommandTopic(StrictModel):
    """Where an arm takes its commands, and as which message; or by which action."""

    topic: TopicName
    type: Literal[
        "joint_state",
        "float64_multi_array",
        "joint_trajectory",
        "interbotix_group",
        "float32",
        "float64",
        "gripper_command",
        "parallel_gripper_command",
    ]
    max_effort: Effort = Field(default=None, gt=0)

    @property
    def is_action(self) -> bool:
        """Whether `topic` is an action's name."""
        return self.type in ACTIONS

    @model_validator(mode="after")
    def _effort_of_an_action(self) -> CommandTopic:
        effort_of_an_action(self.type, self.max_effort)
        return self


class GripperCommand(StrictModel):
    """How a gripper that comes with its arm's joint states is commanded apart from the arm.

    Attributes:
        range: (closed, open) in the driver's units, where they are not those of `puppet_range`.
        joint: its name in the command, where that is another than in the joint states.
    """

    topic: TopicName
    type: Literal["float32", "float64", "joint_state", "gripper_command", "parallel_gripper_command"]
    range: Range | None = None
    max_effort: Effort = Field(default=None, gt=0)
    joint: JointName | None = None

    @property
    def is_action(self) -> bool:
        """Whether `topic` is an action's name."""
        return self.type in ACTIONS

    @field_validator("range")
    @classmethod
    def _not_empty(cls, value: Range | None) -> Range | None:
        return None if value is None else two_values(value)

    @model_validator(mode="after")
    def _consistent(self) -> GripperCommand:
        effort_of_an_action(self.type, self.max_effort)
        if self.joint is not None and self.type not in ("joint_state", "parallel_gripper_command"):
            raise ValueError(
                f"joint is '{self.joint}' and type '{self.type}', which names none; allowed: with joint_state or"
                " parallel_gripper_command"
            )
        return self


def effort_of_an_action(kind: str, max_effort: float | None) -> None:
    """Raise a ValueError for an effort that the kind of command has no place for."""
    if max_effort is not None and kind not in ACTIONS:
        raise ValueError(f"max_effort is {max_effort} and type '{kind}'; allowed: with {' or '.join(ACTIONS)}")
