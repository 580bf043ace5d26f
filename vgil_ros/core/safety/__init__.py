"""Safety: one list of limits between chunk execution and publishing, each one file."""

from vgil_ros.core.safety.acceleration import AccelerationLimit
from vgil_ros.core.safety.base import BaseLimit
from vgil_ros.core.safety.entry import ArmSilence, Entry
from vgil_ros.core.safety.estop import EstopLimit, FaultLimit
from vgil_ros.core.safety.finite import FiniteLimit
from vgil_ros.core.safety.following import FollowingLimit
from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.safety.pipeline import SafetyPipeline, standard_limits
from vgil_ros.core.safety.position import PositionLimit
from vgil_ros.core.safety.readings import ReadingsLimit
from vgil_ros.core.safety.soft_start import SoftStartLimit
from vgil_ros.core.safety.stale import StaleLimit
from vgil_ros.core.safety.types import (
    Changed,
    Command,
    Hold,
    Outcome,
    Pass,
    SafetyContext,
    SafetyEvent,
    SafetyLimit,
    Verdict,
)
from vgil_ros.core.safety.velocity import VelocityLimit
from vgil_ros.core.safety.watchdog import WatchdogLimit

__all__ = [
    "AccelerationLimit",
    "ArmSilence",
    "BaseLimit",
    "Changed",
    "Command",
    "Entry",
    "EstopLimit",
    "FaultLimit",
    "FiniteLimit",
    "FollowingLimit",
    "Hold",
    "JointLimits",
    "Outcome",
    "Pass",
    "PositionLimit",
    "ReadingsLimit",
    "SafetyContext",
    "SafetyEvent",
    "SafetyLimit",
    "SafetyPipeline",
    "SoftStartLimit",
    "StaleLimit",
    "VelocityLimit",
    "Verdict",
    "WatchdogLimit",
    "standard_limits",
]
