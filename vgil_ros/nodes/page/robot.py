"""`PageLink`: a running robot as the page sees it (`web.link.RobotLink`)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import NodeNameNonExistentError
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, Float32, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.service_names import NODES, OFFERED_BY, SERVING
from vgil_ros.core.layout import POSITION, JointReader, Layout, master_reader, puppet_reader
from vgil_ros.core.messages.joint_input import JointInput
from vgil_ros.core.streams import shared_topics
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.joint_subscriptions import JointSubscriptions
from vgil_ros.nodes.messages.subscriptions import sensor_qos
from vgil_ros.nodes.page.camera_taps import CameraTaps, Put
from vgil_ros.nodes.page.policy_process import RESET, PolicyProcess
from vgil_ros.nodes.page.unspun import hear, unspun_node
from vgil_ros.web.link import STALE, Answer, ArmView, NodeStatus, PolicyOrder, PolicyRun, RobotView

FORGET_S = 30.0  # a status that is older is shown no more
STALE_S = 1.0
CHUNK_S = 1.0
ANSWER_S = 10.0
SERVICES_S = 1.0
JOINTS_S = 0.05  # between two looks at the joint states that have come
OFFERED = frozenset(f"{node}/{command}" for command, nodes in OFFERED_BY.items() for node in nodes)
GONE_S = 10.0  # so long a node that has ended may still be seen
HALTS: dict[str, Any] = {"policy/estop": SetBool, "teleop/stop": Trigger}  # what keeps nodes from moving the robot


class PageLink:
    """Hears statuses, joint states and chunks, and calls services.

    Commands are not listened to: whoever commands a robot looks whether anybody hears it, and a page is no robot.

    Args:
        node: whose executor's thread runs all callbacks.
        robot: the contract, by name or path.
        contract: the robot.
        put: takes camera, JPEG, stamp (ns) and age (ms).
        success_topic: std_msgs/Bool; empty: none.
        params_file: YAML of node parameters for what the page starts; "" for none.
    """

    def __init__(
        self, node: VgilNode, robot: str, contract: Contract, put: Put, success_topic: str, params_file: str
    ) -> None:
        self.robot, self.contract = robot, contract
        self._node, self._layout = node, Layout(contract)
        self._statuses: dict[str, tuple[float, DiagnosticStatus]] = {}
        self._joints: dict[tuple[str, str], tuple[float, bytes]] = {}
        self._inputs: dict[tuple[str, str], JointInput] = {}
        self._chunk: tuple[float, JointTrajectory] | None = None
        self._success: bool | None = None
        self._services: frozenset[str] = frozenset()
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()
        self._taps = CameraTaps(node, contract, put)
        self._policy = PolicyProcess(node, robot, success_topic, params_file)
        for name in NODES:
            node.create_subscription(DiagnosticStatus, f"{name}/status", partial(self._on_status, name), 10)
        self._hear_joints()
        node.create_subscription(JointTrajectory, "policy/action_chunk", self._on_chunk, 2)
        if success_topic:
            node.create_subscription(Bool, success_topic, self._on_success, 10)
        self._task_out = node.create_publisher(String, "policy/task", 10)
        self._twist_out = node.create_publisher(TwistStamped, "jog/twist", 10)
        self._gripper_out = node.create_publisher(Float32, "jog/gripper", 10)
        self._arm_out = node.create_publisher(String, "jog/arm", 10)
        node.background_timer(SERVICES_S, self._look_at_services)

    # what is heard, in the executor's thread

    def _hear_joints(self) -> None:
        shared = shared_topics(self.contract)
        self._ears = unspun_node(self._node, "_web_joints")
        topics = JointSubscriptions(self._ears, sensor_qos(10 if shared else 1))
        self._node.background_timer(JOINTS_S, lambda: hear(self._ears))
        for arm in self.contract.arms:
            self._hear(topics, arm, "measured", arm.puppet.topic, arm.puppet.type, puppet_reader(arm), shared)
            if arm.master is not None:
                self._hear(topics, arm, "master", arm.master.topic, arm.master.type, master_reader(arm), shared)

    def _hear(
        self,
        topics: JointSubscriptions,
        arm: Arm,
        part: str,
        topic: str,
        kind: str,
        reader: JointReader,
        shared: Any,
    ) -> None:
        key = (arm.name, part)
        self._inputs[key] = JointInput(reader, None, shared=topic in shared)
        topics.add(self._node.resolve_topic_name(topic), partial(self._on_joints, key), kind)

    def _on_joints(self, key: tuple[str, str], data: bytes) -> None:
        if self._inputs[key].concerns(data):
            self._joints[key] = (time.monotonic(), data)  # decoded when somebody looks

    def _on_status(self, name: str, message: DiagnosticStatus) -> None:
        self._statuses[name] = (time.monotonic(), message)

    def _on_chunk(self, message: JointTrajectory) -> None:
        self._chunk = (time.monotonic(), message)

    def _on_success(self, message: Bool) -> None:
        self._success = message.data

    def _look_at_services(self) -> None:
        """Of each of our nodes, as the graph has them: a list of all names services that only have clients too."""
        space = self._node.get_namespace().rstrip("/")
        found: set[str] = set()
        for name in SERVING:
            with contextlib.suppress(NodeNameNonExistentError):
                offered = self._node.get_service_names_and_types_by_node(name, space or "/")
                found |= {service.removeprefix(f"{space}/") for service, _ in offered}
        self._services = frozenset(found & OFFERED)
        for service in HALTS.keys() & self._services:
            self._client(HALTS[service], service)  # before it is needed: finding its node takes a moment

    # what the page asks, in its event loop

    def view(self) -> RobotView:
        """What is known just now."""
        now = time.monotonic()
        statuses = {
            name: _status(message, now - came)
            for name, (came, message) in list(self._statuses.items())
            if now - came < FORGET_S
        }
        chunk = self._coming(now)
        arms = {arm.name: self._arm(i, arm, chunk, now) for i, arm in enumerate(self.contract.arms)}
        return RobotView(statuses, arms, chunk, self._success, self._services)

    def _coming(self, now: float) -> np.ndarray | None:
        last = self._chunk
        if last is None or now - last[0] > CHUNK_S or not last[1].points:
            return None
        return np.array([point.positions for point in last[1].points])

    def _arm(self, index: int, arm: Arm, chunk: np.ndarray | None, now: float) -> ArmView:
        measured, master = (self._positions((arm.name, part)) for part in ("measured", "master"))
        came = self._joints.get((arm.name, "measured"))
        command = None
        if chunk is not None:
            first = sum(len(other.joints) for other in self.contract.arms[:index])
            command = chunk[0, first : first + len(arm.joints)]
        return ArmView(measured, master, command, None if came is None else now - came[0])

    def _positions(self, key: tuple[str, str]) -> np.ndarray | None:
        """(J,) as last heard; None where nothing was, or what does not fit the contract."""
        last = self._joints.get(key)
        if last is None:
            return None
        try:
            found = self._inputs[key].read(last[1], self._node.now_ns())
        except VgilError:
            return None  # recorder and policy say what is wrong with it
        return None if found is None else np.asarray(found[1][POSITION])

    async def call(self, service: str) -> Answer:
        """Call a std_srvs/Trigger and wait for its answer."""
        return await self._answer(Trigger, service, Trigger.Request())

    async def _answer(self, kind: Any, service: str, request: Any) -> Answer:
        """Call a service whose response says whether it was done, and in words."""
        answer = await self._call(kind, service, request)
        return Answer(bool(answer.success), str(answer.message))

    def _client(self, kind: Any, service: str) -> Any:
        with self._making:  # the executor's thread and the page's
            if service not in self._clients:
                self._clients[service] = self._node.create_client(kind, service)
            return self._clients[service]

    async def _call(self, kind: Any, service: str, request: Any) -> Any:
        client = self._client(kind, service)
        for _ in range(20):
            if client.service_is_ready():
                break
            await asyncio.sleep(0.05)
        else:
            raise VgilError(f"{service} is not there: its node does not run, or is still starting")
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        future = client.call_async(request)

        def answered(_: Any) -> None:
            loop.call_soon_threadsafe(done.set)

        future.add_done_callback(answered)
        try:
            await asyncio.wait_for(done.wait(), ANSWER_S)
        except asyncio.TimeoutError:
            raise VgilError(f"{service} did not answer: waited {ANSWER_S:g} s; the node may hang") from None
        return future.result()

    async def estop(self, on: bool) -> Answer:
        """The policy's e-stop; and teleop is stopped, so that leaders move nothing any more.

        Both are told at once: a node that hangs or has just ended keeps the other from nothing. So is one that is not
        seen any more, if it was here before.
        """
        wanted = [service for service in HALTS if service in self._services | self._clients.keys()]
        wanted = wanted if on else [service for service in wanted if service == "policy/estop"]
        seen = self._services
        said = await asyncio.gather(*(self._halt(service, on) for service in wanted), return_exceptions=True)
        told: list[Answer] = []
        for service, answer in zip(wanted, said, strict=True):
            if isinstance(answer, Answer):
                told.append(answer)
            elif not isinstance(answer, VgilError):
                raise answer
            elif service in seen:
                told.append(Answer(False, str(answer)))
        if not told:
            return Answer(False, "neither a policy nor a teleop node is here: this page can stop nothing")
        return Answer(all(one.ok for one in told), "; ".join(one.message for one in told))

    async def _halt(self, service: str, on: bool) -> Answer:
        request = SetBool.Request(data=on) if HALTS[service] is SetBool else Trigger.Request()
        return await self._answer(HALTS[service], service, request)

    def set_task(self, task: str) -> None:
        """Tell the policy a new instruction."""
        self._task_out.publish(String(data=task))

    def policy_run(self) -> PolicyRun | None:
        """The policy node that the page started last."""
        return self._policy.run()

    async def start_policy(self, order: PolicyOrder) -> Answer:
        """Start a policy node, unless there is one: two would answer to the same names.

        Raises:
            VgilError: one is there.
        """
        for _ in range(int(GONE_S / 0.1)):
            if self._policy.alive or not self._hears_a_policy():
                break
            await asyncio.sleep(0.1)
        else:
            raise VgilError("a policy runs that this page did not start; allowed once it is ended where it was started")
        self._statuses.pop("policy", None)
        return await self._policy.start(order, RESET in self._services)

    def _hears_a_policy(self) -> bool:
        last = self._statuses.get("policy")
        heard = last is not None and time.monotonic() - last[0] < STALE_S
        return heard or "policy/start" in self._services

    async def end_policy(self) -> Answer:
        """End the policy node that the page started.

        Raises:
            VgilError: it started none that still runs.
        """
        return await self._policy.end()

    def leave_nothing_running(self) -> None:
        """End the policy that was started here, and wait for that."""
        self._policy.close()

    async def say(self, words: Mapping[str, str]) -> Answer:
        """Tell the recorder what its next episodes are of: all of it, or nothing where a text is not allowed."""
        parameters = [Parameter(name, value=text).to_parameter_msg() for name, text in words.items()]
        request = SetParametersAtomically.Request(parameters=parameters)
        answer = (await self._call(SetParametersAtomically, "recorder/set_parameters_atomically", request)).result
        told = "; ".join(f"{name}: {text or 'none'}" for name, text in words.items())
        return Answer(bool(answer.successful), str(answer.reason) or f"from the next episode on: {told}")

    def lead(self, arm: str, twist: np.ndarray, gripper: float | None, frame: str) -> None:
        """Move a leader by the node jog, which stops by itself where this is not said again."""
        self._arm_out.publish(String(data=arm))
        message = TwistStamped()
        message.header.frame_id = frame
        linear, angular = message.twist.linear, message.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(value) for value in twist)
        self._twist_out.publish(message)
        if gripper is not None:
            self._gripper_out.publish(Float32(data=float(gripper)))

    async def reset(self, seed: int | None) -> Answer:
        """Have the simulator make a scene: its parameter `seed` is set, then it is asked to reset."""
        if seed is not None:
            request = SetParametersAtomically.Request(parameters=[Parameter("seed", value=seed).to_parameter_msg()])
            said = (await self._call(SetParametersAtomically, "sim/set_parameters_atomically", request)).result
            if not said.successful:
                return Answer(False, f"sim does not take seed {seed}: {said.reason}")
        return await self.call("sim/reset")

    def watch(self, camera: str, on: bool) -> None:
        """Somebody looks at a camera from now on, or nobody any more."""
        self._taps.watch(camera, on)

    def close(self) -> None:
        """Listen no more."""
        self._ears.destroy_node()
        self._taps.close()


def _status(message: DiagnosticStatus, age_s: float) -> NodeStatus:
    level = STALE if age_s > STALE_S else message.level[0]
    return NodeStatus(level, message.message, {item.key: item.value for item in message.values}, age_s)
