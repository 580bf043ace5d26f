"""Parameters of a node: their descriptors, the check of a value, and the spellings of the release before."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import RENAMED_MODES, RENAMED_OPTIONS

# the spelling of the release before, and today's
RENAMED_PARAMETERS = RENAMED_OPTIONS
RENAMED_VALUES = {"execution": RENAMED_MODES}

ROS_OWN = ("use_sim_time", "start_type_description_service")  # parameters that rclpy declares in every node
ROS_PREFIX = "qos_overrides."
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_MOST = {int: 2**63 - 1, float: sys.float_info.max}


@dataclass(frozen=True)
class Parameter:
    """A parameter as its node declares it.

    Attributes:
        name: as it is given.
        default: its value where none is given; its type is the parameter's.
        doc: what it is, with its unit.
        low, high: the range of a number, both ends allowed; None: open.
        choices: the texts that are allowed; None: any.
        read_only: whether a running node refuses to change it.
    """

    name: str
    default: Any
    doc: str
    low: float | None = None
    high: float | None = None
    choices: Sequence[str] | None = None
    read_only: bool = True

    def descriptor(self) -> ParameterDescriptor:
        """What the parameter services tell of it."""
        found = ParameterDescriptor(description=self.doc, read_only=self.read_only)
        if self.choices is not None:
            found.additional_constraints = f"one of: {', '.join(self.choices)}"
        kind = type(self.default)
        if kind in _MOST and (self.low, self.high) != (None, None):
            low = -_MOST[kind] if self.low is None else self.low
            high = _MOST[kind] if self.high is None else self.high
            if kind is int:
                found.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
            else:
                found.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        return found

    def checked(self, value: Any) -> Any:
        """Return a value that was given, in the parameter's type; a whole number is a number too.

        Raises:
            VgilError: for another type, or a value that is not allowed.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        allowed = type(value) is kind
        if allowed and self.choices is not None:
            allowed = value in self.choices
        if allowed and kind in _MOST:
            low, high = -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high
            allowed = math.isfinite(value) and low <= value <= high
        if not allowed:
            raise VgilError(f"parameter '{self.name}' is {_shown(value)}; allowed: {self.allowed()}")
        return value

    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.choices is not None:
            return ", ".join(self.choices)
        words = _KINDS[type(self.default)]
        if self.low is not None and self.high is not None:
            return f"{words}, {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{words}, {self.low:g} or above"
        return words if self.high is None else f"{words}, {self.high:g} or below"


def _shown(value: Any) -> str:
    """A value as its user wrote it; a text in quotes, so that '12' and 12 look different."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)


def refuse_unknown(node: str, given: Sequence[str], declared: Sequence[str]) -> None:
    """Refuse parameters that a node was given and does not have: a value with a typo in its name would have no effect.

    Raises:
        VgilError: naming them, and the ones that there are.
    """
    known = {*declared, *ROS_OWN}
    unknown = sorted(name for name in given if name not in known and not name.startswith(ROS_PREFIX))
    if unknown:
        allowed = sorted((*declared, ROS_OWN[0]))
        raise VgilError(f"parameter {unknown} is unknown to the node '{node}'; allowed: {allowed}")
