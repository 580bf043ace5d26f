"""The tests' client: a node that calls services and collects messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from support.process import PATIENCE


class Client:
    """A node on a domain, spun in a thread of its own."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("client", context=self.context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._clients: dict[str, Any] = {}

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def call(self, name: str, request: Any = None, kind: Any = Trigger) -> Any:
        """Call a service and return its response."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(PATIENCE), f"no service {name}"
        done = threading.Event()
        future = client.call_async(request or kind.Request())
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE), f"no answer from {name}"
        return future.result()

    def collect(self, kind: Any, topic: str) -> list[tuple[float, Any]]:
        """Return a list that fills with (time.monotonic of arrival, message)."""
        messages: list[tuple[float, Any]] = []
        self.node.create_subscription(kind, topic, lambda m: messages.append((time.monotonic(), m)), 100)
        return messages

    def status(self, topic: str = "/recorder/status") -> list[tuple[float, DiagnosticStatus]]:
        """Statuses, as they come."""
        return self.collect(DiagnosticStatus, topic)

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
    """Wait for a condition; return its value.

    Raises:
        AssertionError: naming what did not come.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {timeout} s")
