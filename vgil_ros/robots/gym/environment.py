"""A Gymnasium environment with ALOHA's layout as a robot: it is commanded, looked at and asked for its reward.

The layout: as many values in state and action as the contract has joints (D), in its order; ALOHA's are 14, two arms of
six joints (rad) and a gripper (0..1, closed..open) each, left before right. Actions are absolute positions;
observations are `{"agent_pos": (D,), "pixels": {camera: (H, W, 3) uint8 RGB}}`. Gymnasium steps when it is told to: one
step is one tick of the contract.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import ArmLayout, Layout
from vgil_ros.extras import EXTRA_OF, needed_by
from vgil_ros.robots.arm_model import ArmModel, JointStates
from vgil_ros.robots.gym.gym_aloha import AlohaPhysics, is_gym_aloha
from vgil_ros.robots.plugins import outside_code, search_here
from vgil_ros.robots.transforms import pose

DONE = 4.0  # ALOHA's reward of a success
SUCCESS = "is_success"  # by which an environment may say it, beside its reward


class GymError(VgilError):
    """A Gymnasium environment that is not there, or that has not ALOHA's layout."""


class GymArm:
    """One arm: what a scripted operator asks of it."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.lower, self.upper = np.asarray(arm.limits.lower), np.asarray(arm.limits.upper)
        self.home = np.asarray(arm.home, np.float64)

    @cached_property
    def model(self) -> ArmModel:
        """Its geometry, which needs its URDF."""
        return ArmModel(self.arm)


class GymRobot:
    """An environment and its arms.

    Attributes:
        contract: the robot; `config/robots/gym_aloha.yaml`.
        name: the environment's id.
        action: (D,) the command of the next step; it stays until another comes.
        over: whether the environment has ended the episode; it must be reset before it is stepped again.
        max_reward: the highest reward of the episode so far.
        goes_on: steps on where the environment has ended the episode, as a demonstration does that is shown to its end.

    Raises:
        GymError: where Gymnasium or the environment is not installed, or its layout is not the contract's.
    """

    def __init__(self, contract: Contract, name: str, seed: int = 0) -> None:
        self.contract, self.name = contract, name
        self.layout = Layout(contract)
        self.arms: Mapping[str, GymArm] = {arm.name: GymArm(arm) for arm in contract.arms}
        self._env = _make(name)
        self._physics = AlohaPhysics(self._env) if is_gym_aloha(self._env) else None
        self._cameras = {camera.name: camera for camera in contract.cameras}
        self.goes_on = False
        self._check()
        self.reset(seed)

    def _check(self) -> None:
        if self.contract.base or self.contract.vectors:
            more = ["base"] * bool(self.contract.base) + [vector.name for vector in self.contract.vectors]
            raise GymError(
                f"robot '{self.contract.name}' has {', '.join(more)}, which environment '{self.name}' does not tell;"
                " allowed: arms and cameras"
            )
        shape = self._env.action_space.shape
        if shape != (self.layout.joints,):
            raise GymError(
                f"environment '{self.name}': its action is {shape}; robot '{self.contract.name}' has"
                f" {self.layout.joints} joints"
            )

    def _checked(self, seen: Any) -> Mapping[str, Any]:
        """An observation that has the layout.

        Raises:
            GymError: it has another.
        """

        where = f"environment '{self.name}', its observation"
        if not isinstance(seen, Mapping) or "agent_pos" not in seen or not isinstance(seen.get("pixels"), Mapping):
            parts = {k: type(v).__name__ for k, v in seen.items()} if isinstance(seen, Mapping) else type(seen).__name__
            raise GymError(f"{where}: found {parts}; allowed: {{'agent_pos': positions, 'pixels': {{camera: image}}}}")
        position = np.asarray(seen["agent_pos"])
        if position.shape != (self.layout.joints,):
            raise GymError(
                f"{where}: found agent_pos of {position.shape}; allowed: ({self.layout.joints},), the joints of robot"
                f" '{self.contract.name}'"
            )
        for camera in self._cameras:
            if (image := seen["pixels"].get(camera)) is None:
                raise GymError(
                    f"environment '{self.name}' has no camera '{camera}' of robot '{self.contract.name}';"
                    f" allowed: {sorted(seen['pixels'])}"
                )
            image = np.asarray(image)
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise GymError(
                    f"{where}: found pixels of camera '{camera}' of {image.shape} {image.dtype}; allowed: (H, W, 3)"
                    " uint8, RGB"
                )
        return seen

    @property
    def task_name(self) -> str:
        """The environment's id."""
        return self.name

    @property
    def task_operator(self) -> str:
        """An environment brings none."""
        return ""

    @property
    def taking_part(self) -> tuple[GymArm, ...]:
        """The arms, the last one first: in both of gym-aloha's tasks the right one begins."""
        return tuple(reversed(tuple(self.arms.values())))

    @property
    def time(self) -> float:
        """Seconds since the reset."""
        return self.count / self.contract.rate_hz

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed."""
        self.seed = seed
        with outside_code(f"environment '{self.name}': reset failed"):
            seen, _ = self._env.reset(seed=seed)
        self._seen = self._checked(seen)
        self.count = 0
        self.reward_now, self.max_reward, self.over = 0.0, 0.0, False
        self.action = np.asarray(self._seen["agent_pos"], np.float64).copy()
        self._before = self.qpos

    @property
    def qpos(self) -> np.ndarray:
        """Position (D,): rad, grippers 0..1."""
        return np.asarray(self._seen["agent_pos"], np.float64)

    def step(self) -> None:
        """Go on by one tick under `action`.

        Raises:
            GymError: where the episode is over.
        """
        if self.over and not self.goes_on:
            raise GymError(f"environment '{self.name}': the episode of seed {self.seed} is over; allowed now: a reset")
        self._before = self.qpos
        action = np.clip(self.action, self.layout.lower, self.layout.upper).astype(np.float32)
        with outside_code(f"environment '{self.name}': step {self.count} of the episode of seed {self.seed} failed"):
            self._seen, reward, terminated, truncated, told = self._env.step(action)
        self.count += 1
        self.reward_now = float(reward)
        if (done := told.get(SUCCESS)) is not None:  # then its reward may be anything
            self.reward_now = DONE if done else min(self.reward_now, DONE - 1.0)
        self.max_reward = max(self.max_reward, self.reward_now)
        self.over = bool(terminated or truncated)

    def layout_of(self, arm: str) -> ArmLayout:
        """Where an arm stands in state and action."""
        return next(layout for layout in self.layout.arms if layout.arm.name == arm)

    @property
    def tells_of_things(self) -> bool:
        """Whether it says where the task's things are, as gym-aloha does."""
        return self._physics is not None

    def joint_states(self, arm: str) -> JointStates:
        """Names, position and velocity (by difference, where the environment tells none) of a puppet; no effort."""
        layout = self.layout_of(arm)
        velocity = (self.qpos - self._before) * self.contract.rate_hz
        if self._physics is not None:
            velocity = self._physics.qvel()
        position = layout.state.restore(self.qpos[layout.columns])
        return JointStates(
            layout.arm.puppet_joints, position, velocity[layout.columns] * layout.state.scale, np.empty(0)
        )

    def objects(self) -> dict[str, np.ndarray]:
        """Return the true pose (4, 4) of each of the task's things, which only gym-aloha tells."""
        if self._physics is None:
            raise GymError(
                f"environment '{self.name}' does not tell where its things are; a scripted operator is allowed for"
                " gym-aloha's tasks"
            )
        return self._physics.objects()

    def base_pose(self) -> np.ndarray:
        """The arms stand still: the fixed frame itself."""
        return pose()

    def reward(self) -> float:
        """The environment's reward of the last step."""
        return self.reward_now

    def success(self) -> bool:
        """Whether the task has been done in this episode, at any time: by its reward, as ALOHA's, or as it says."""
        return self.max_reward >= DONE

    def render(self, camera: str) -> np.ndarray:
        """What a camera sees now, (H, W, 3) uint8 RGB in the contract's size."""
        wanted = self._cameras[camera]
        image = self._physics.draw(camera) if self._physics is not None else self._seen["pixels"][camera]
        return resized(image, wanted.height, wanted.width)

    def close(self) -> None:
        """Free the environment."""
        if self._physics is not None:
            self._physics.close()
        self._env.close()


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image (H, W, 3) uint8 in another size; made smaller by the mean of the areas, as a camera's binning does."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _make(name: str) -> Any:
    package = name.split("/")[0]
    if not package.isidentifier() or name.count("/") != 1:
        raise GymError(
            f"task '{name}' is no Gymnasium environment; allowed: PACKAGE/ENVIRONMENT such as"
            " gym_aloha/AlohaTransferCube-v0, a task's name, or module:Class"
        )
    with needed_by(f"task '{name}'"):
        import gymnasium

        here = search_here()
        try:
            importlib.import_module(package)  # which registers its environments
        except Exception as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing in EXTRA_OF:
                raise
            if missing == package:
                raise GymError(
                    f"task '{name}': there is no Python package '{package}' that could register it; allowed:"
                    f" PACKAGE/ENVIRONMENT of one that is installed, on PYTHONPATH or in {here}"
                ) from error
            with outside_code(f"task '{name}': package '{package}' cannot be imported"):
                raise
    try:
        gymnasium.spec(name)
    except gymnasium.error.Error as error:
        allowed = sorted(known for known in gymnasium.registry if known.startswith(f"{package}/"))
        raise GymError(f"task '{name}' cannot be made ({error}); allowed: {allowed}") from error
    with outside_code(f"task '{name}' cannot be made", "; it is given obs_type='pixels_agent_pos', and must take it"):
        return gymnasium.make(name, obs_type="pixels_agent_pos", max_episode_steps=-1, disable_env_checker=True)
