"""A node that no executor spins: its subscriptions are asked for what has come when that is wanted, at the page's pace.

Of two hundred joint states a second, and thirty images, those that nobody will see never wake this process's Python.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from vgil_ros.nodes.base.node import VgilNode


def unspun_node(beside: VgilNode, name: str) -> Node:
    """A node in another's namespace; it has no services and no log of its own. Topics are resolved by the other."""
    return Node(
        name,
        namespace=beside.get_namespace(),
        use_global_arguments=False,
        enable_rosout=False,
        start_parameter_services=False,
    )


def hear(node: Node) -> None:
    """Call every subscription's callback with what has come since the last time."""
    subscriptions: list[Any] = list(node.subscriptions)
    for subscription in subscriptions:
        with subscription.handle:
            while (taken := subscription.handle.take_message(subscription.msg_type, True)) is not None:
                subscription.callback(taken[0])
