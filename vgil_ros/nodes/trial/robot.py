"""What a trial sees of a robot and calls: the policy's status and services, a camera, whether the task is done."""

from __future__ import annotations

import array
import contextlib
import threading
import time
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import Image
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from vgil_ros.core.contract import Camera
from vgil_ros.core.errors import VgilError
from vgil_ros.core.messages.intake import CAMERAS
from vgil_ros.episodes.image_codec import to_rgb
from vgil_ros.nodes.messages.subscriptions import message_class, sensor_qos
from vgil_ros.nodes.query.client import small_segments

OVERLAY = "trial/overlay"  # the topic that shows it
ANSWER_S = 10.0
BEGINS_S = 3.0  # a started policy that is idle after so long has ended already


class TrialRobot:
    """A node of its own, spun in a thread.

    Args:
        camera: whose images are shown; None where the robot has none.
        success_topic: std_msgs/Bool; "" for none.
    """

    def __init__(self, camera: Camera | None, success_topic: str = "") -> None:
        small_segments()
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self._node = Node("vgil_trial", context=self._context, use_global_arguments=False)
        self._camera, self._image = camera, b""
        self._status: tuple[float, dict[str, str], str, bytes] | None = None
        self._clients: dict[str, Any] = {}
        self._started = 0.0
        self._began = False  # it was seen at work since it was started
        self.success: bool | None = None
        self._overlay: Any = self._node.create_publisher(Image, OVERLAY, 1)
        self._node.create_subscription(DiagnosticStatus, "policy/status", self._on_status, 10)
        if success_topic:
            self._node.create_subscription(Bool, success_topic, self._on_success, 10)
        if camera is not None:
            kind = message_class(CAMERAS[camera.type][0])
            self._node.create_subscription(kind, camera.topic, self._on_image, sensor_qos(1), raw=True)
        self._sim: Any = AsyncParameterClient(self._node, "sim")
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="trial", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def _on_status(self, message: DiagnosticStatus) -> None:
        values = {pair.key: pair.value for pair in message.values}
        self._status = (time.monotonic(), values, str(message.message), bytes(message.level))
        self._began |= bool(self._started) and values.get("state") not in ("idle", None)

    def _on_success(self, message: Bool) -> None:
        self.success = bool(message.data)

    def _on_image(self, data: bytes) -> None:
        self._image = data

    def policy_runs(self, seconds: float) -> bool:
        """Whether a policy node tells its status already, waited for so long."""
        end = time.monotonic() + seconds
        while self._status is None and time.monotonic() < end:
            time.sleep(0.05)
        return self._status is not None

    def forget_policy(self) -> None:
        """Another policy node is brought up: nothing that was heard is true any more."""
        for client in self._clients.values():
            self._node.destroy_client(client)
        self._clients, self._status, self._started, self._began = {}, None, 0.0, False

    @property
    def rests(self) -> bool:
        """Whether the policy is there and moves nothing."""
        return self._status is not None and self._status[1].get("state") == "idle"

    @property
    def ready(self) -> bool:
        """Whether it would move at once, too: nothing that stands against it is told."""
        return self.rests and self._status is not None and self._status[3] == DiagnosticStatus.OK

    @property
    def words(self) -> str:
        """What the policy's status says; never which policy it is."""
        return "" if self._status is None else self._status[2]

    @property
    def has_ended(self) -> bool:
        """Whether the attempt that was started is over."""
        if self._status is None or not self._started:
            return False
        at = self._status[0]
        return self.rests and at > self._started and (self._began or at - self._started > BEGINS_S)

    def start(self) -> tuple[bool, str]:
        """Have the policy move; whether it does, and what it answers."""
        self.success, self._began = None, False
        self._started = time.monotonic()  # already, as Ctrl-C may come before its answer
        ok, words = self.call("start")
        self._started = time.monotonic() if ok else 0.0
        return ok, words

    def call(self, name: str) -> tuple[bool, str]:
        """Call a service of the policy; whether it did it, and what it says."""
        if name not in self._clients:
            self._clients[name] = self._node.create_client(Trigger, f"policy/{name}")
        client = self._clients[name]
        if not client.wait_for_service(timeout_sec=ANSWER_S):
            return False, f"policy/{name} is not there"
        answer = self._result(client.call_async(Trigger.Request()))
        return (False, f"policy/{name} did not answer") if answer is None else (bool(answer.success), answer.message)

    def set_scene(self, seed: int) -> bool:
        """Choose the scene of the simulated robot's next reset; whether it took it."""
        if not self._sim.services_are_ready():
            return False
        answer = self._result(self._sim.set_parameters([Parameter("seed", value=seed)]))
        return answer is not None and bool(answer.results[0].successful)

    @staticmethod
    def _result(future: Any) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        return future.result() if done.wait(ANSWER_S) else None

    def live(self) -> np.ndarray | None:
        """The camera's newest image, (H, W, 3) uint8 RGB; None where there is none that can be read."""
        if self._camera is None or not self._image:
            return None
        _, read, _ = CAMERAS[self._camera.type]
        with contextlib.suppress(VgilError):
            image = np.asarray(to_rgb(read(self._image)[1]))
            return np.ascontiguousarray(image[..., ::-1]) if self._camera.jpeg_order == "peers" else image
        return None

    def show(self, image: np.ndarray) -> None:
        """Publish an overlay, (H, W, 3) uint8 RGB."""
        data = array.array("B")
        data.frombytes(np.ascontiguousarray(image).data)
        height, width = image.shape[:2]
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=data)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._overlay.publish(message)

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join(2.0)
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()
