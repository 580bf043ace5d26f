"""The simulated robot: steps, joint states, images, odometry, reward. No ROS, no clock but its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.robots.arm_model import ArmModel, JointStates
from vgil_ros.robots.commands import CommandError, checked_command
from vgil_ros.robots.plugins import making
from vgil_ros.robots.sim.arm import SimArm
from vgil_ros.robots.sim.mjcf import BASE_JOINTS, PHYSICS_DT, build_model
from vgil_ros.robots.sim.render import Renderer
from vgil_ros.robots.sim.tasks import task_class
from vgil_ros.robots.transforms import pose_rpy


@dataclass(frozen=True)
class Odometry:
    """Where the base is (m, rad, in the fixed frame) and how fast it drives (m/s, rad/s, in its own)."""

    x: float
    y: float
    yaw: float
    linear: float
    angular: float


class SimRobot:
    """A contract's robot in a MuJoCo world, at one task.

    The puppets hold their place until they are commanded, and keep to their last command. Equal contracts, tasks,
    seeds and commands give equal worlds, bit by bit, on one machine.

    Attributes:
        contract: the robot.
        task: what is to be done.
        seed: of the episode that runs.

    Raises:
        VgilError: where the contract cannot be simulated, or the task is unknown or not for this robot.
    """

    def __init__(self, contract: Contract, task: str, seed: int = 0) -> None:
        make_task = task_class(task)
        if contract.vectors:
            names = [vector.name for vector in contract.vectors]
            raise CommandError(f"robot '{contract.name}' has the vectors {names}; none is simulated, allowed: without")
        self.contract = contract
        self.arms = {arm.name: SimArm(ArmModel(arm), index) for index, arm in enumerate(contract.arms)}
        with making(make_task):
            self.task = make_task(list(self.arms.values()))
            self.model = build_model(contract, list(self.arms.values()), self.task)
        self.data = mujoco.MjData(self.model)
        self._renderer: Renderer | None = None
        self._base_qpos = np.empty(0, int)
        if contract.base:
            self._base_qpos = np.array([int(self.model.joint(name).qposadr[0]) for name in BASE_JOINTS])
            self._base_dofs = np.array([int(self.model.joint(name).dofadr[0]) for name in BASE_JOINTS])
        self.reset(seed)

    @property
    def task_name(self) -> str:
        """What is to be done, by name."""
        return self.task.name

    @property
    def task_operator(self) -> str:
        """The operator that the task itself brings, as `module:Class`; "" for none."""
        return self.task.operator

    @property
    def taking_part(self) -> tuple[SimArm, ...]:
        """The arms that the task needs, in the order of their part in it."""
        return self.task.arms

    @property
    def time(self) -> float:
        """Seconds since the reset."""
        return float(self.data.time)

    def reset(self, seed: int) -> None:
        """Begin an episode: arms at home, the task's things where `seed` puts them."""
        self.seed = seed
        mujoco.mj_resetData(self.model, self.data)
        for arm in self.arms.values():
            arm.place(self.data, arm.home)
        self._commands = {name: arm.home.copy() for name, arm in self.arms.items()}
        self._owed = 0.0  # physics steps that were asked for and not yet made, below one
        self._base_command = np.zeros(2)
        self._base = np.zeros(3)
        self.task.place(self.data, np.random.default_rng(seed))
        mujoco.mj_forward(self.model, self.data)
        if self._renderer is not None:
            self._renderer.restart(seed)

    def command(self, arm: str, position: np.ndarray) -> None:
        """Send a puppet to `position` (J,) in the contract's order and units; it is clipped to the limits.

        Raises:
            CommandError: for an unknown arm, another length, or values that are not finite.
        """
        self._commands[arm] = checked_command(self.contract, arm, position)

    def commanded(self, arm: str) -> np.ndarray:
        """Return where a puppet was sent last, (J,)."""
        return self._commands[arm].copy()

    def drive(self, linear: float, angular: float) -> None:
        """Drive the base, m/s and rad/s; clipped to the contract's limits.

        Raises:
            CommandError: where the robot has no base, or for values that are not finite.
        """
        if self.contract.base is None:
            raise CommandError(f"robot '{self.contract.name}' has no base")
        if not np.isfinite([linear, angular]).all():
            raise CommandError(f"base: command is {linear} m/s, {angular} rad/s; allowed: finite numbers")
        limits = self.contract.base.limits
        bound = np.array([limits.linear, limits.angular])
        self._base_command = np.clip([linear, angular], -bound, bound)

    def go_on(self, dt: float) -> None:
        """Go on by `dt` seconds; see `step`."""
        self.step(dt)

    def step(self, dt: float, commands: Mapping[str, np.ndarray] | None = None) -> None:
        """Go on by `dt` seconds, in whole physics steps of 2 ms.

        Args:
            dt: s; what is less than a physics step is kept for the next call.
            commands: by arm, as for `command`; arms that are not named keep to their last.

        Raises:
            CommandError: for a command that no arm can take; then nothing moves.
        """
        for name, position in (commands or {}).items():
            self.command(name, position)
        self._owed += dt / PHYSICS_DT
        substeps = int(self._owed + 1e-6)
        self._owed -= substeps
        while substeps:
            count = min(substeps, 5)
            for name, arm in self.arms.items():
                arm.follow(self.data, self._commands[name], count * PHYSICS_DT)
            if self.contract.base is None:
                mujoco.mj_step(self.model, self.data, nstep=count)
            else:
                for _ in range(count):
                    self._drive_on()
                    mujoco.mj_step(self.model, self.data)
            substeps -= count

    def _drive_on(self) -> None:
        """Prescribe the base's motion: unicycle kinematics, set before each physics step."""
        linear, angular = self._base_command
        yaw = self._base[2] + 0.5 * angular * PHYSICS_DT
        velocity = np.array([linear * np.cos(yaw), linear * np.sin(yaw), angular])
        self.data.qpos[self._base_qpos], self.data.qvel[self._base_dofs] = self._base, velocity
        self._base = self._base + velocity * PHYSICS_DT

    def joint_states(self, arm: str) -> JointStates:
        """Names, position, velocity and effort of a puppet, in the contract's units."""
        return self.arms[arm].states(self.data)

    def odometry(self) -> Odometry:
        """The base's place and speed.

        Raises:
            CommandError: where the robot has no base.
        """
        if self.contract.base is None:
            raise CommandError(f"robot '{self.contract.name}' has no base")
        x, y, yaw = self._base.tolist()
        linear, angular = self._base_command.tolist()
        return Odometry(x, y, float(np.arctan2(np.sin(yaw), np.cos(yaw))), linear, angular)

    def base_pose(self) -> np.ndarray:
        """Where the robot's frame stands, (4, 4): what the base drives, or the fixed frame itself."""
        return pose_rpy([self._base[0], self._base[1], 0.0], [0.0, 0.0, self._base[2]])

    def render(self, camera: str) -> np.ndarray:
        """Return what a camera sees now, (H, W, 3) uint8 RGB, with a little sensor noise.

        Call it from one thread only: the one that renders first owns the context.

        Raises:
            VgilError: for a camera that is not in the contract.
            GraphicsError: where the machine has no usable OpenGL.
        """
        if self._renderer is None:
            self._renderer = self.make_renderer()
        return self._renderer.render(self.data, camera)

    def make_renderer(self) -> Renderer:
        """Return a renderer for the calling thread."""
        return Renderer(self.model, self.contract.cameras, self.seed)

    def objects(self) -> dict[str, np.ndarray]:
        """Return the true pose (4, 4) of each of the task's things."""
        return self.task.objects(self.data)

    def reward(self) -> float:
        """How far the task has come, 0 to `task.max_reward`."""
        return self.task.reward(self.data)

    def success(self) -> bool:
        """Whether the task is done now."""
        return self.task.success(self.data)

    def close(self) -> None:
        """Free the images' context; in the thread that rendered."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
