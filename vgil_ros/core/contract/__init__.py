"""The robot contract: frozen values out of a YAML file; each part of a robot has a file here."""

from vgil_ros.core.contract.arm import Arm, Gripper, GripperFeedback, Limits, Mount
from vgil_ros.core.contract.camera import Camera, SimulatedView
from vgil_ros.core.contract.driver import InterbotixDriver, ServiceCall
from vgil_ros.core.contract.robot import (
    Base,
    BaseLimits,
    Contract,
    EndMarker,
    Joystick,
    Sync,
    parse_contract,
)
from vgil_ros.core.contract.topics import CommandTopic, SensorTopic, TopicRef

__all__ = [
    "Arm",
    "Base",
    "BaseLimits",
    "Camera",
    "CommandTopic",
    "Contract",
    "EndMarker",
    "Gripper",
    "GripperFeedback",
    "InterbotixDriver",
    "Joystick",
    "Limits",
    "Mount",
    "SensorTopic",
    "ServiceCall",
    "SimulatedView",
    "Sync",
    "TopicRef",
    "parse_contract",
]
