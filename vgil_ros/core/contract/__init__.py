"""The robot contract: frozen values out of a YAML file; each part of a robot has a file here."""

from vgil_ros.core.contract.arm import Arm, Gripper, GripperFeedback, Limits, Mount
from vgil_ros.core.contract.bus import SerialBus
from vgil_ros.core.contract.camera import Camera, SimulatedView
from vgil_ros.core.contract.commands import CommandTopic, GripperCommand
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
from vgil_ros.core.contract.topics import JointTopic, SensorTopic, TopicRef
from vgil_ros.core.contract.vector import Vector
from vgil_ros.core.contract.webcam import CameraControls

__all__ = [
    "Arm",
    "Base",
    "BaseLimits",
    "Camera",
    "CameraControls",
    "CommandTopic",
    "Contract",
    "EndMarker",
    "Gripper",
    "GripperCommand",
    "GripperFeedback",
    "InterbotixDriver",
    "JointTopic",
    "Joystick",
    "Limits",
    "Mount",
    "SensorTopic",
    "SerialBus",
    "ServiceCall",
    "SimulatedView",
    "Sync",
    "TopicRef",
    "Vector",
    "parse_contract",
]
