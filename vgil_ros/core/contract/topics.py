"""Topics as a contract names them: measured ones with their stamps."""

from __future__ import annotations

from pydantic import Field, field_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import JointName, StampPolicy, TopicName, no_duplicates


class TopicRef(StrictModel):
    """A topic whose message type is fixed by its place in the contract."""

    topic: TopicName


class SensorTopic(TopicRef):
    """A topic that is measured, and where its stamps come from."""

    stamp: StampPolicy = "header"


class JointTopic(SensorTopic):
    """Joint states; several arms may share a topic. `joints`: names in its messages, where they are not the arm's."""

    joints: tuple[JointName, ...] | None = Field(default=None, min_length=1, max_length=64)

    @field_validator("joints")
    @classmethod
    def _differ(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        no_duplicates("joints", value or ())
        return value
