"""The one rule of who commands a robot: whoever has a publisher on a command topic; only one node may.

A node of ours has its publishers from the moment it is told to move the robot until it lets go of it. So two nodes may
both be up (a policy that waits for its start beside a teleop), and a hand-over is: the one lets go, the other starts.
"""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "a node without a known name"  # of a publisher that has just appeared, or is no ROS node
RULE = "only one may command"


def contest(topic: str, commanders: Sequence[str], own: str, mine: int) -> str | None:
    """Say in words who else commands a topic; None where nobody does.

    Args:
        topic: the command topic.
        commanders: the full name (`/ns/node`) of the node behind each publisher on it, own ones included.
        own: the full name of the node that asks.
        mine: how many of the publishers are its own.
    """
    twins = commanders.count(own) - mine
    others = [name if name == UNKNOWN else f"node {name}" for name in sorted(set(commanders) - {own})]
    if twins > 0:
        others.append(f"another node {own}")
    return f"commands on {topic} come from {', '.join(others)} too; {RULE}" if others else None


def full_name(namespace: str, name: str) -> str:
    """A node's full name, from what the graph tells of an endpoint."""
    if not name or "UNKNOWN" in name:
        return UNKNOWN
    return f"{namespace.rstrip('/')}/{name}"


def twins(names: Sequence[tuple[str, str]], own: tuple[str, str]) -> int:
    """How many other nodes of a graph have a node's (name, namespace): a call to its services reaches them all."""
    return max(0, list(names).count(own) - 1)
