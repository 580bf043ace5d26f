"""Parameters of every node that drives the control loop, those of a policy apart: a robot goes home without one."""

from __future__ import annotations

from dataclasses import replace

from vgil_ros.core.control.pipeline import ExecutionOptions
from vgil_ros.nodes.base.node import VgilNode


def safety_options(node: VgilNode) -> ExecutionOptions:
    """Declare what every driver of the control loop lets one set, and return it."""
    usual = ExecutionOptions()
    max_age = "how old a stream, or the observation behind a command, may be, ms; older holds the robot"
    soft_start = "share of the velocity limits at which the robot goes to the first action"
    return replace(
        usual,
        age_ns=round(node.declare("max_age_ms", usual.age_ns / 1e6, low=1.0, high=1e4, doc=max_age) * 1e6),
        soft_start=node.declare("soft_start", usual.soft_start, low=0.001, high=1.0, doc=soft_start),
    )
