"""Topics as a contract names them: measured ones with their stamps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import JointName, StampPolicy, TopicName, no_duplicates


class TopicRef(StrictModel):
    """A topic whose message type is fixed by its place in the contract."""

    topic: TopicName


class SensorTopic(TopicRef):
    """A topic that is measured, and where its stamps come from."""

    stamp: StampPolicy = "header"


class JointTopic(SensorTopic):
    """Joint states; several arms may share a topic.

    Attributes:
        joints: names in its messages, where they are not the arm's.
        type: of the message; a number by itself (float32, float64) for one joint: a gripper's trigger, or its width.
    """

    joints: tuple[JointName, ...] | None = Field(default=None, min_length=1, max_length=64)
    type: Literal["joint_state", "float32", "float64"] = "joint_state"

    @property
    def is_number(self) -> bool:
        """Whether its messages hold one number and nothing else."""
        return self.type != "joint_state"

    @field_validator("joints")
    @classmethod
    def _differ(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        no_duplicates("joints", value or ())
        return value

    @model_validator(mode="after")
    def _numbers_have_no_stamp(self) -> JointTopic:
        if self.is_number and self.stamp == "header":
            raise ValueError(f"stamp is 'header' and type '{self.type}', which has none; allowed: arrival")
        return self
