"""ACT that also sees how each camera's image has moved."""

from vgil_ros.policies.flow_act.config import FlowActConfig
from vgil_ros.policies.flow_act.policy import FlowActPolicy

__all__ = ["FlowActConfig", "FlowActPolicy"]
