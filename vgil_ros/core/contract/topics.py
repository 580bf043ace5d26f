"""Topics as a contract names them: measured ones with their stamps, and commands."""

from __future__ import annotations

from typing import Literal

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import StampPolicy, TopicName


class TopicRef(StrictModel):
    """A topic whose message type is fixed by its place in the contract."""

    topic: TopicName


class SensorTopic(TopicRef):
    """A topic that is measured, and where its stamps come from."""

    stamp: StampPolicy = "header"


class CommandTopic(StrictModel):
    """Where an arm takes its commands, and as which message."""

    topic: TopicName
    type: Literal["joint_state", "float64_multi_array", "joint_trajectory", "interbotix_group"]
