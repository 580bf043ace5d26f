"""The recorder's keys in the terminal of `jog`, so that both hands stay there: they call its services."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.task import Future
from std_srvs.srv import Trigger

from vgil_ros.nodes.base.node import VgilNode

HELP = (
    ("s", "recorder: start; stop, save"),
    ("d", "recorder: discard"),
    ("r", "recorder: redo"),
    ("y n m", "recorder: success, failure, unsure"),
)
MEANT = {
    "d": "discard",
    "r": "redo",
    "y": "label_success",
    "n": "label_failure",
    "m": "label_unsure",  # u moves the arm
}
GONE_S = 2.0  # without a status for so long a node is gone


class StatusOf:
    """The last status of another node.

    Args:
        node: that listens.
        other: the other's name.
    """

    def __init__(self, node: VgilNode, other: str) -> None:
        self._values: dict[str, str] = {}
        self._heard_s = float("-inf")
        node.create_subscription(DiagnosticStatus, f"{other}/status", self._on_status, 10)

    def _on_status(self, message: DiagnosticStatus) -> None:
        self._values = {pair.key: pair.value for pair in message.values}
        self._heard_s = time.monotonic()

    def value(self, key: str) -> str:
        """A value of it; "" where the node is not heard, or says nothing of it."""
        return self._values.get(key, "") if time.monotonic() - self._heard_s < GONE_S else ""


class RecorderKeys:
    """s, d, r, y and n, as in the recorder's own terminal, and m in place of its u.

    Args:
        node: that calls, and says what was answered.
    """

    def __init__(self, node: VgilNode) -> None:
        self._node = node
        self.status = StatusOf(node, "recorder")
        self._clients: dict[str, Any] = {
            "start": node.create_client(Trigger, "recorder/start"),
            "stop": node.create_client(Trigger, "recorder/stop"),
            "discard": node.create_client(Trigger, "recorder/discard"),
            "redo": node.create_client(Trigger, "recorder/redo"),
            "label_success": node.create_client(Trigger, "recorder/label_success"),
            "label_failure": node.create_client(Trigger, "recorder/label_failure"),
            "label_unsure": node.create_client(Trigger, "recorder/label_unsure"),
        }

    def press(self, key: str) -> bool:
        """Call what a key stands for; False for a key that stands for nothing."""
        running = self.status.value("state") == "recording"
        meant = MEANT.get(key) if key != "s" else "stop" if running else "start"
        if meant is None:
            return False
        client = self._clients[meant]
        if not client.service_is_ready():
            self._node.log(f"no recorder is heard: nobody offers {client.srv_name}", severity="warning")
            return True
        client.call_async(Trigger.Request()).add_done_callback(self._answered)
        return True

    def _answered(self, future: Future[Trigger.Response]) -> None:
        response: Any = future.result()
        self._node.log(f"recorder: {response.message}", severity="info" if response.success else "warning")
