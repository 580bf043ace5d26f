"""The order of an array's values, held against the joints of the controller that takes it: they have no names."""

from __future__ import annotations

from collections.abc import Sequence


def disorder(joints: Sequence[str], controllers: Sequence[str]) -> str | None:
    """Say how a controller's joints differ from those of a command by position; None where they do not.

    Args:
        joints: in the order in which their values are sent.
        controllers: in the order in which the controller takes them.
    """
    if list(joints) == list(controllers):
        return None
    if sorted(joints) == sorted(controllers):
        at = next(i for i, pair in enumerate(zip(joints, controllers, strict=True)) if pair[0] != pair[1])
        return (
            f"takes the same joints in another order, {list(controllers)}: value {at} would move {controllers[at]}"
            f" and is meant for {joints[at]}"
        )
    return f"takes the joints {list(controllers)}; the contract's command holds {list(joints)}"
