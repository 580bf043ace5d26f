"""Node `sim`: the simulated robot on the topics of its contract, and the operator that leads it."""

from __future__ import annotations

import array
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Empty, Float32
from std_srvs.srv import Trigger

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Camera, JointTopic
from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.simulator.command_decoders import CommandInput, inputs_of
from vgil_ros.nodes.simulator.gripper_server import GripperServer
from vgil_ros.nodes.simulator.loop import Cameras, CamerasInStep, CameraThread, Pacer
from vgil_ros.robots.operators import make_operator
from vgil_ros.robots.sim.cameras import camera_jpeg, tick_falls
from vgil_ros.robots.sim.robot import SimRobot
from vgil_ros.robots.sim.tasks import TASKS
from vgil_ros.robots.worlds import GYM_TASK, make_robot, usual_task

# Reliable: subscribers of both kinds match. Few messages are kept, so that a slow subscriber loses old ones.
STATE_QOS = QoSProfile(depth=20)
REMEDY = "give sim_time:=true, and time waits for them"
REPORT_RATE = 0.2  # Hz
IMAGE_QOS = QoSProfile(depth=5)


class SimNode(VgilNode):
    """Publishes what the robot's drivers would, takes their commands, and resets the scene when asked."""

    def __init__(self) -> None:
        super().__init__("sim")
        contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        doc = (
            f"{', '.join(TASKS)}, an entry point of vgil_ros.tasks, module:Class, or a Gymnasium environment"
            f" ({GYM_TASK}); empty: the robot's usual one"
        )
        task = self.declare("task", "", doc=doc) or usual_task(contract)
        doc = "of the scene that the next reset makes; one more after each"
        seed = self.declare("seed", 0, low=0, doc=doc, read_only=False)
        leads = self.declare("operator", True, doc="a scripted operator moves the masters")
        self._rate = self.declare("joint_rate", 100.0, low=1.0, high=200.0, doc="of the joint states, Hz")
        doc = "of the images, Hz; not above joint_rate"
        self._camera_rate = self.declare("camera_rate", 30.0, low=0.1, high=self._rate, doc=doc)
        self._rest = self.declare("rest", 0.5, low=0.0, high=1e6, doc="s that the robot rests after a reset")
        doc = "simulated seconds a second; 0: as fast as possible"
        speed = self.declare("speed", 1.0, low=0.0, high=1e6, doc=doc)
        sim_time = self.declare(
            "sim_time", False, doc="publish /clock at speed 1 too; nothing is lost where it is busy"
        )
        self._lock = threading.Lock()  # around the robot: the loop steps and resets it, callbacks command it
        self._reset_to: int | None = None  # the seed that the loop is asked to reset to
        self._reset_done = threading.Event()
        self._made, self._begun = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        # the loop also makes the robot: some environments draw wherever they please, but in one thread alone
        self._loop = threading.Thread(
            target=self._run_loop, args=(lambda: make_robot(contract, task, seed),), name="physics", daemon=True
        )
        self._loop.start()
        self._made.wait()
        if self._failure is not None:
            raise self._failure
        self._operator = make_operator(self.robot, seed) if leads else None
        self._masters: dict[str, np.ndarray] = {}
        self._add_topics()
        self.set_parameters([Parameter("seed", value=seed + 1)])
        self._pacer = Pacer(self._rate, speed, simulated=sim_time)
        self._cameras = self._make_cameras()
        self._begun.set()
        self.get_logger().info(f"{contract.name}: task '{task}', seed {seed}, {'an' if leads else 'no'} operator")

    def _make_cameras(self) -> Cameras:
        if isinstance(self.robot, SimRobot):
            return CameraThread(self.robot, self._publish_image, lossless=not self._pacer.real_time)
        names = [camera.name for camera in self.robot.contract.cameras]
        return CamerasInStep(names, self.robot.render, self._publish_image)

    def _add_topics(self) -> None:
        contract = self.robot.contract
        self._joint_out: dict[str, Any] = {}
        self._puppet_out, self._master_out = {}, {}
        for arm in contract.arms:
            self._puppet_out[arm.name] = self._joint_publisher(f"{arm.name}/puppet", arm.puppet)
            if arm.master and self._operator:
                self._master_out[arm.name] = self._joint_publisher(f"{arm.name}/master", arm.master)
            for given in inputs_of(arm):
                if given.is_action:
                    self._serve_gripper(arm.name, given)
                    continue
                take = partial(self._on_command, arm.name, given)
                self.create_subscription(given.type, given.topic, take, STATE_QOS)
        self._image_out: dict[str, tuple[Camera, Any]] = {}
        for camera in contract.cameras:
            publisher: Any = self.create_publisher(_image_type(camera), camera.topic, IMAGE_QOS)
            self._image_out[camera.name] = (camera, publisher)
        if contract.base:
            self._odometry_out = self.create_publisher(Odometry, contract.base.odom.topic, STATE_QOS)
            self.create_subscription(Twist, contract.base.command.topic, self._on_twist, STATE_QOS)
        self._reward_out = self.create_publisher(Float32, "~/reward", 10)
        self._success_out = self.create_publisher(Bool, "~/success", 10)
        self._reset_out = self.create_publisher(Empty, "~/was_reset", 10)
        self._clock_out = self.create_publisher(Clock, "/clock", 10)
        self.create_service(Trigger, "~/reset", self._on_reset)
        if self._operator:
            self.create_service(Trigger, "~/correct", self._on_correct)

    def _joint_publisher(self, stream: str, at: JointTopic) -> Any:
        """One for each topic, though several arms may share it: each arm's message holds its own joints."""
        if at.is_number:
            raise VgilError(
                f"{stream} is of type {at.type}, a device's own number; allowed: joint_state, which the simulator"
                " publishes"
            )
        topic = at.topic
        if topic not in self._joint_out:
            self._joint_out[topic] = self.create_publisher(JointState, topic, STATE_QOS)
        return self._joint_out[topic]

    def _serve_gripper(self, arm: str, given: CommandInput) -> None:
        count = len(self.robot.arms[arm].arm.joints)

        def measured() -> np.ndarray:
            with self._lock:
                position: np.ndarray = self.robot.joint_states(arm).position
            return position[:count]

        def take(position: np.ndarray) -> None:
            with self._lock:
                if self.robot.time >= self._rest:
                    self.robot.command(arm, position)

        GripperServer(self, given, lambda: self.robot.commanded(arm), measured, take)

    def _on_command(self, arm: str, given: CommandInput, message: Any) -> None:
        try:
            position = given.decode(message, self.robot.commanded(arm))
        except VgilError as error:
            self.warn_once(f"{arm}/command", f"command refused: {error}")
            return
        self.clear(f"{arm}/command")
        with self._lock:
            if self.robot.time >= self._rest:  # earlier ones were made for the scene before the reset
                self.robot.command(arm, position)

    def _on_twist(self, message: Twist) -> None:
        try:
            with self._lock:
                self.robot.drive(message.linear.x, message.angular.z)
        except VgilError as error:
            self.warn_once("base/command", f"command refused: {error}")
        else:
            self.clear("base/command")

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        seed = int(self.get_parameter("seed").value)
        self._reset_done.clear()
        with self._lock:
            self._reset_to = seed
        while not self._reset_done.wait(0.1):
            if self.ended.is_set():
                response.success, response.message = False, "the simulation has ended"
                return response
        self.set_parameters([Parameter("seed", value=seed + 1)])
        response.success, response.message = True, f"seed {seed}"
        return response

    def _reset(self) -> None:
        """In the loop, under the lock: begin the scene that was asked for."""
        if (seed := self._reset_to) is None:
            return
        self._reset_to = None
        self.robot.reset(seed)
        if self._operator:
            self._operator.reset(seed)
        self._reset_out.publish(Empty())
        self._reset_done.set()

    def _on_correct(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """The operator begins anew from where the puppets are, for who has taken over from a policy."""
        assert self._operator is not None
        with self._lock:
            if self.ended.is_set():
                response.success, response.message = False, "the simulation has ended"
                return response
            self._operator.take_over()
        response.success, response.message = True, "the masters are where the puppets are, and do the task from there"
        return response

    def _run_loop(self, make: Callable[[], Any]) -> None:
        try:
            self.robot: Any = make()
        except BaseException as error:
            self._failure = error
            return
        finally:
            self._made.set()
        try:
            while not self._begun.wait(0.1):
                if self.ended.is_set():
                    return
            count = 0
            while not self.ended.is_set():
                self._tick(count, self._pacer.wait())
                count += 1
        except BaseException as error:
            self.get_logger().fatal(f"simulation ended: {type(error).__name__}: {error}")
            self.finish(1)
            raise
        finally:
            with self._lock:
                self.robot.close()

    def _tick(self, count: int, stamp: int) -> None:
        """One period of the joint rate: step, publish, and at the cameras' rate take a snapshot."""
        if not self._pacer.real_time:
            self._clock_out.publish(Clock(clock=_time(stamp)))
        with self._lock:
            self._reset()
            self.robot.go_on(1.0 / self._rate)
            masters = {} if self._operator is None else self._operator.masters_after(self._rest)
            states = {name: self.robot.joint_states(name) for name in self.robot.arms}
            if tick_falls(count, self._camera_rate, self._rate):
                self._cameras.submit(stamp)
            reward, success = self.robot.reward(), self.robot.success()
        for name, state in states.items():
            self._puppet_out[name].publish(_joints(stamp, state.names, state.position, state.velocity, state.effort))
        self._publish_masters(masters, stamp)
        if self.robot.contract.base:
            self._publish_odometry(stamp)
        if tick_falls(count, self.robot.contract.rate_hz, self._rate):
            self._reward_out.publish(Float32(data=float(reward)))
            self._success_out.publish(Bool(data=success))
        if tick_falls(count, REPORT_RATE, self._rate):
            self._report()

    def _publish_masters(self, masters: dict[str, np.ndarray], stamp: int) -> None:
        for name, position in masters.items():
            velocity = (position - self._masters.get(name, position)) * self._rate
            if name in self._master_out:
                names = self.robot.arms[name].arm.master_joints
                self._master_out[name].publish(_joints(stamp, names, position, velocity))
        self._masters = masters

    def _publish_odometry(self, stamp: int) -> None:
        odometry = self.robot.odometry()
        message = Odometry(child_frame_id="base_link")
        message.header.stamp, message.header.frame_id = _time(stamp), "odom"
        message.pose.pose.position.x, message.pose.pose.position.y = odometry.x, odometry.y
        orientation = message.pose.pose.orientation
        orientation.z, orientation.w = float(np.sin(odometry.yaw / 2)), float(np.cos(odometry.yaw / 2))
        message.twist.twist.linear.x, message.twist.twist.angular.z = odometry.linear, odometry.angular
        self._odometry_out.publish(message)

    def _publish_image(self, camera: str, image: np.ndarray, stamp: int) -> None:
        """Called in the cameras' thread."""
        if self.ended.is_set():
            return
        spec, publisher = self._image_out[camera]
        message = _image(image) if spec.type == "image" else _compressed(image)
        message.header.stamp, message.header.frame_id = _time(stamp), camera
        publisher.publish(message)

    def _report(self) -> None:
        """Say when the machine is too slow or the world stands, and when no longer; called now and then."""
        if getattr(self.robot, "stands", False):
            task, reset = self.robot.task_name, f"{self.full_name}/reset"
            self.warn_once("over", f"the episode of '{task}' is over and nothing moves; the next one needs {reset}")
        else:
            self.clear("over")
        lost, self._pacer.lost_s = self._pacer.lost_s, 0.0
        if lost > 0.5 and self._pacer.real_time:  # of simulated time nothing is lost: it goes slower
            self.warn_once(
                "real time", f"this machine is too slow to simulate in real time: {lost:.1f} s were lost; {REMEDY}"
            )
        else:
            self.clear("real time")
        skipped = self._cameras.skipped()
        if skipped > 0.2:
            self.warn_once(
                "cameras", f"this machine is too slow for the cameras' rate: {skipped:.0%} were left out; {REMEDY}"
            )
        else:
            self.clear("cameras")

    def on_shutdown(self) -> None:
        """End both threads; nothing is published afterwards."""
        self.finish(self.exit_code)
        self._cameras.close()
        self._loop.join(timeout=5.0)


def _time(stamp: int) -> Time:
    return Time(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)


def _joints(
    stamp: int, names: tuple[str, ...], position: np.ndarray, velocity: np.ndarray, effort: np.ndarray | None = None
) -> JointState:
    message = JointState(name=list(names), position=position.tolist(), velocity=velocity.tolist())
    message.header.stamp = _time(stamp)
    if effort is not None:
        message.effort = effort.tolist()
    return message


def _image_type(camera: Camera) -> type:
    kind: type = CompressedImage if camera.type == "compressed" else Image
    return kind


def _image(image: np.ndarray) -> Image:
    height, width = image.shape[:2]
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(image).data)  # the setter checks lists item by item
    return Image(height=height, width=width, encoding="rgb8", step=3 * width, data=data)


def _compressed(image: np.ndarray) -> CompressedImage:
    data = array.array("B")
    data.frombytes(camera_jpeg(image))
    return CompressedImage(format="rgb8; jpeg compressed bgr8", data=data)


def main() -> None:
    """Entry point of the executable `sim`."""
    run(SimNode)


if __name__ == "__main__":
    main()
