"""A scene that somebody else resets before each episode, asked through a service."""

from __future__ import annotations

from typing import Any

from rclpy.task import Future
from std_srvs.srv import Trigger

from vgil_ros.nodes.base.alerts import AlertingClock

TIMEOUT_NS = 10_000_000_000  # an answer that takes longer is asked for again
ABSENT_NS = 100_000_000  # and where nobody offers the service, so soon


class SceneReset:
    """Asks for a reset until it is answered.

    Args:
        node: whose clock and log are used.
        client: of a service (std_srvs/Trigger); None where nobody resets the scene.
    """

    def __init__(self, node: AlertingClock, client: Any) -> None:
        self._node = node
        self._client = client
        self._asked: tuple[Future[Trigger.Response], int] | None = None  # and until when it may take
        self._called = False  # somebody has been asked, and has not answered yet

    def ask(self) -> bool:
        """Ask; False where there is nobody to ask."""
        if self._client is None:
            return False
        ready = self._client.service_is_ready()
        if not ready:
            self._node.warn_once("reset", f"waiting for the service {self._client.srv_name}")
        future = self._client.call_async(Trigger.Request()) if ready else Future()
        self._called = ready
        self._asked = (future, self._node.now_ns() + (TIMEOUT_NS if ready else ABSENT_NS))
        return True

    @property
    def under_way(self) -> bool:
        """Whether the scene may be reset at this moment: it was asked for, and the answer has not come yet."""
        return self._called

    def answered(self, now: int) -> bool:
        """Whether the answer has come since the last call. A refusal is said, and is an answer too."""
        if self._asked is None:
            return False
        future, deadline = self._asked
        if future.done():
            self._asked, self._called = None, False
            response: Any = future.result()
            if not response.success:
                self._node.log(f"{self._client.srv_name} refused: {response.message}", severity="error")
            self._node.clear("reset")
            return True
        if now > deadline:
            self.ask()
        return False
