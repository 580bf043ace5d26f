"""Commands to a simulated robot's arms: what none can take is refused before anything moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError


class CommandError(VgilError):
    """A command that no arm can take: a wrong length or a number that is none."""


def checked_command(contract: Contract, arm: str, position: Sequence[float] | np.ndarray) -> np.ndarray:
    """Give the command `position` (J,) of an arm as float64.

    Raises:
        CommandError: for an unknown arm, another length, or values that are not finite.
    """
    joints = {one.name: one.joints for one in contract.arms}
    if arm not in joints:
        raise CommandError(f"arm '{arm}' is unknown; allowed: {list(joints)}")
    values = np.asarray(position, np.float64)
    if values.shape != (len(joints[arm]),):
        raise CommandError(f"{arm}: command has {values.size} values; allowed: {len(joints[arm])}, {list(joints[arm])}")
    if not np.isfinite(values).all():
        bad = [joint for joint, value in zip(joints[arm], values, strict=True) if not np.isfinite(value)]
        raise CommandError(f"{arm}: command of {bad} is not a finite number")
    return values
