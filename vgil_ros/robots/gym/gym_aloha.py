"""gym-aloha's physics: where its things are, and images of one camera only where somebody looks.

gym-aloha draws three cameras of 480x640 at each step, whether they are asked for or not. Here a step draws nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vgil_ros.robots.transforms import pose

THINGS = ("box", "peg", "socket")  # bodies of its two tasks
TRAVEL = 0.05800 - 0.01844  # m; a finger's from closed to open (0..1), its `PUPPET_GRIPPER_POSITION_*`
HEIGHT, WIDTH = 480, 640  # of its observations
NOTHING = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
NOTHING.setflags(write=False)


def is_gym_aloha(env: Any) -> bool:
    """Whether an environment is one of gym-aloha's."""
    return type(env.unwrapped).__module__.startswith("gym_aloha.")


class AlohaPhysics:
    """The MuJoCo world below one of gym-aloha's environments.

    Args:
        env: it draws nothing by itself from now on.
    """

    def __init__(self, env: Any) -> None:
        self._control = env.unwrapped._env
        task = self._control.task
        bodies = self._control.physics.named.model.body_mass.axes.row.names
        self._things = [name for name in THINGS if name in bodies]
        task.get_observation = lambda physics: {"qpos": task.get_qpos(physics), "images": {"top": NOTHING}}

    def qvel(self) -> np.ndarray:
        """Velocity (14,): rad/s, grippers in their range a second."""
        raw = self._control.physics.data.qvel
        velocity = np.concatenate([raw[:7], raw[8:15]]).astype(np.float64)
        velocity[[6, 13]] /= TRAVEL
        return velocity

    def objects(self) -> dict[str, np.ndarray]:
        """Return the true pose (4, 4) of each thing, in the arms' frame."""
        physics = self._control.physics
        data = physics.named.data
        return {name: pose(data.xpos[name], data.xmat[name].reshape(3, 3)) for name in self._things}

    def close(self) -> None:
        """Free the physics and what draws it, while there is an OpenGL to free it with."""
        self._control.physics.free()

    def draw(self, camera: str) -> np.ndarray:
        """What a camera sees now, (480, 640, 3) uint8 RGB."""
        image: np.ndarray = self._control.physics.render(height=HEIGHT, width=WIDTH, camera_id=camera)
        return image
