"""A simulated robot and its sensors in simulated time alone: what node `sim` publishes, by ticks.

The timing is the node's: joints at 200 Hz, images at 30 Hz on that grid, a command acts from the next step on. What
is left out is the transport: a sample arrives when it is stamped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np

from vgil_ros.core.contract import Arm, Camera, Contract
from vgil_ros.core.frame import Frame
from vgil_ros.core.layout import JointReader, Layout, master_reader, puppet_reader
from vgil_ros.core.streams import Kind, StreamSpec, streams_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.robots.operators import Operator, make_operator
from vgil_ros.robots.sim.cameras import camera_jpeg, tick_falls
from vgil_ros.robots.sim.render import Renderer
from vgil_ros.robots.sim.robot import SimRobot

JOINT_RATE, CAMERA_RATE = 200.0, 30.0  # Hz
START_NS = 1_000_000_000  # simulated time at a reset: ROS takes 0 for "no time yet"
REST_S = 0.5  # after a reset the masters rest, and commands are refused: they were made for the scene before
PERIOD_NS = round(1e9 / JOINT_RATE)
PHASES = 20  # the cameras' pattern on the joints' grid repeats after as many steps


class Undrawn(ABC):
    """An image that is drawn when somebody looks: the payload of an image stream of a world without ROS."""

    @abstractmethod
    def image(self) -> Frame | np.ndarray:
        """What the camera's driver sends: pixels (H, W, 3) uint8 RGB, or a JPEG frame where the contract says so."""


@dataclass
class Snapshot:
    """The world as it was when the cameras' shutters opened; drawn when somebody looks."""

    data: Any
    cameras: Mapping[str, Camera]
    renderer: Renderer
    _drawn: dict[str, np.ndarray] = field(default_factory=dict)

    def rgb(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB, read-only; the same for every caller."""
        if camera not in self._drawn:
            image = np.ascontiguousarray(self.renderer.render(self.data, camera))
            image.setflags(write=False)
            self._drawn[camera] = image
        return self._drawn[camera]


@dataclass(frozen=True, eq=False)
class LazyImage(Undrawn):
    """One camera's part of a snapshot."""

    snapshot: Snapshot
    camera: str

    def image(self) -> Frame | np.ndarray:
        """See `Undrawn.image`."""
        pixels = self.snapshot.rgb(self.camera)
        if self.snapshot.cameras[self.camera].type != "compressed":
            return pixels
        height, width = pixels.shape[:2]
        return Frame(height, width, "jpeg", 0, memoryview(camera_jpeg(pixels)))


def drawn(payloads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The payloads of a sample with its lazy images drawn."""
    return tuple(p.image() if isinstance(p, Undrawn) else p for p in payloads)


class SimWorld:
    """Steps a robot and feeds the synchroniser. One thread owns it.

    Args:
        contract: the robot.
        task: what is to be done.
        operator: whether a scripted operator moves the masters.
        streams: what is synchronised; everything, with the masters where there is an operator, by default.

    Raises:
        VgilError: where the contract cannot be simulated, the task is unknown or has no operator.
        GraphicsError: where the machine has no usable OpenGL.
    """

    begin_steps = (4, 12)  # when a fresh sample of every stream has come
    over = False

    def __init__(
        self, contract: Contract, task: str, *, operator: bool, streams: tuple[StreamSpec, ...] | None = None
    ) -> None:
        self.contract, self.layout = contract, Layout(contract)
        self.streams = streams_of(contract, masters=operator) if streams is None else streams
        self.robot = SimRobot(contract, task)
        self.operator: Operator | None = make_operator(self.robot) if operator else None
        self._cameras = {camera.name: camera for camera in contract.cameras}
        self._images = [spec.name for spec in self.streams if spec.kind is Kind.IMAGE]
        self._renderer = self.robot.make_renderer()
        self._readers = {arm.name: _readers(arm, operator) for arm in contract.arms}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin an episode. All that is drawn (scene, operator, noise, the cameras' phase) follows from the seed."""
        self.robot.reset(seed)
        if self.operator is not None:
            self.operator.reset(seed)
        self._renderer.restart(seed)
        self.rng = np.random.default_rng([seed, 2])
        self._phase = int(self.rng.integers(PHASES))
        self.count = 0
        self._masters: dict[str, np.ndarray] = {}
        self._waiting: dict[str, np.ndarray] = {}
        self._drive: np.ndarray | None = None
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz)
        self.states: dict[str, np.ndarray] = {}

    @property
    def max_reward(self) -> float:
        """The task's reward of a success."""
        return self.robot.task.max_reward

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return START_NS + self.count * PERIOD_NS

    @property
    def seconds(self) -> float:
        """Simulated time since the reset."""
        return self.count / JOINT_RATE

    def command(self, action: np.ndarray, base: np.ndarray | None = None) -> None:
        """Send an action (>= J,), in its own units, and a base velocity (2,) m/s, rad/s, to act from the next step."""
        parts = self.layout.commands(action)
        for layout, position in zip(self.layout.arms, parts, strict=True):
            self.command_arm(layout.arm.name, position)
        if base is not None and self.contract.base is not None and self.robot.time >= REST_S:
            self._drive = base

    def command_arm(self, arm: str, position: np.ndarray) -> None:
        """Send one puppet to `position` (J,) in the contract's units."""
        if self.robot.time >= REST_S:
            self._waiting[arm] = position

    def advance(self) -> None:
        """One step of the joints' rate: the robot moves, its sensors are read."""
        if self._drive is not None:
            self.robot.drive(*self._drive)
        self.robot.step(1.0 / JOINT_RATE, self._waiting)
        self._waiting, self._drive = {}, None
        self.count += 1
        for name, payload in self._joints().items():
            self.states[name] = payload
            self.sync.push(name, self.now_ns, payload)
        if self.contract.base is not None:
            odometry = self.robot.odometry()
            self.sync.push("base", self.now_ns, np.array([odometry.linear, odometry.angular]))
        if self._images and tick_falls(self.count - 1 + self._phase, CAMERA_RATE, JOINT_RATE):
            self._capture()

    def ticks(self) -> list[Sample | Miss]:
        """The ticks that have become complete, or have waited too long."""
        complete = []
        while (tick := self.sync.sample(self.now_ns)) is not None:
            complete.append(tick)
        return complete

    def _joints(self) -> dict[str, np.ndarray]:
        masters = {} if self.operator is None else self.operator.masters_after(REST_S)
        payloads = {}
        for arm in self.contract.arms:
            puppet, master = self._readers[arm.name]
            state = self.robot.joint_states(arm.name)
            payloads[puppet.stream] = puppet.read(state.names, state.position, state.velocity, state.effort)
            if master is not None:
                position = masters[arm.name]
                velocity = (position - self._masters.get(arm.name, position)) * JOINT_RATE
                payloads[master.stream] = master.read(arm.master_joints, position, velocity)
        self._masters = masters
        return payloads

    def _capture(self) -> None:
        data = mujoco.MjData(self.robot.model)
        mujoco.mj_copyData(data, self.robot.model, self.robot.data)
        snapshot = Snapshot(data, self._cameras, self._renderer)
        for name in self._images:
            self.sync.push(name, self.now_ns, LazyImage(snapshot, name))

    def draw(self, camera: str, height: int, width: int) -> np.ndarray:
        """What a camera sees now, (H, W, 3) uint8 RGB, without noise: for videos. No size above the largest
        camera's."""
        return self._renderer.draw(self.robot.data, camera, height, width)

    def close(self) -> None:
        """Free the images' context, in the thread that made it."""
        self._renderer.close()
        self.robot.close()


def _readers(arm: Arm, operator: bool) -> tuple[JointReader, JointReader | None]:
    return puppet_reader(arm), master_reader(arm) if operator and arm.master else None
