"""A node for the length of a command: it calls services, hears statuses and looks at the graph, without ros2cli."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vgil_ros.assets import share_dir
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.commanders import full_name
from vgil_ros.nodes.dds import profile as transport

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")
STATUS = "diagnostic_msgs/msg/DiagnosticStatus"
HIDDEN = "_"  # nodes whose names begin so are tools


class QueryClient:
    """A node of its own rclpy context, spun in a thread until it is closed."""

    def __init__(self) -> None:
        small_segments()
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self.node = Node(f"_vgil_cli_{os.getpid()}", context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="query", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End it."""
        self._stop.set()
        self._thread.join(2.0)
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    @staticmethod
    def wait(condition: Callable[[], T], seconds: float) -> T:
        """Wait until a condition is true, and return what it gave last, true or not."""
        end = time.monotonic() + seconds
        while not (found := condition()) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def services(self) -> set[str]:
        """Full names of all services."""
        return {name for name, _ in self.node.get_service_names_and_types()}

    def nodes(self) -> list[str]:
        """Full names of all nodes but tools."""
        found = self.node.get_node_names_and_namespaces()
        return sorted(full_name(space, name) for name, space in found if not name.startswith(HIDDEN))

    def call(self, kind: Any, service: str, request: Any, seconds: float) -> Any:
        """Call a service and return its response.

        Raises:
            VgilError: where it does not answer in time.
        """
        client: Any = self.node.create_client(kind, service)
        if not client.wait_for_service(timeout_sec=seconds):
            raise VgilError(f"{service} is not there: waited {seconds:g} s; {self.seen()}")
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(seconds):
            raise VgilError(f"{service} did not answer: waited {seconds:g} s; the node may hang, or be very busy")
        return future.result()

    def seen(self) -> str:
        """In words: which nodes there are on this domain."""
        nodes = ", ".join(self.nodes()) or "none"
        domain = os.environ.get("ROS_DOMAIN_ID") or "0"
        return f"nodes on domain {domain}: {nodes}"

    def hear_statuses(self, take: Callable[[str, DiagnosticStatus], None]) -> Callable[[], None]:
        """Hear every status (`NODE/status`) of the domain.

        Args:
            take: called with the node's full name and its status, in this client's thread.

        Returns:
            A function to be called now and then: it subscribes to what has come up.
        """
        heard: set[str] = set()

        def look() -> None:
            for topic, kinds in self.node.get_topic_names_and_types():
                if topic.endswith("/status") and STATUS in kinds and topic not in heard:
                    heard.add(topic)
                    name = topic.removesuffix("/status")
                    self.node.create_subscription(DiagnosticStatus, topic, lambda m, name=name: take(name, m), 10)

        return look


def small_segments() -> None:
    """A short-lived process needs no large segment of shared memory; where one chose a profile, it stays."""
    if transport.chosen(os.environ) is None and "fastrtps" in os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps"):
        profile = share_dir() / "config" / "dds" / transport.SMALL.file
        os.environ[transport.profile_variable(os.environ)] = str(profile)
