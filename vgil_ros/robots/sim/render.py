"""Images of the simulated world: one OpenGL context for all cameras, without shadows, with a little sensor noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from vgil_ros.core.contract import Camera
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.sim.gl import make_context

NOISE = 2  # grey levels


class Renderer:
    """Renders by camera name. Belongs to the thread that makes it; `close` in the same thread.

    Args:
        model: the compiled world.
        cameras: names and sizes.
        seed: of the sensor noise.

    Raises:
        GraphicsError: where the machine has no usable OpenGL.
    """

    def __init__(self, model: Any, cameras: Sequence[Camera], seed: int = 0) -> None:
        self._model = model
        self._sizes = {camera.name: (camera.height, camera.width) for camera in cameras}
        self._frames = dict.fromkeys(self._sizes, 0)
        self._seed = seed
        height = max([h for h, _ in self._sizes.values()], default=480)
        width = max([w for _, w in self._sizes.values()], default=640)
        self._tile = _noise_tile(height, width)
        self._gl = make_context(width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = False
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_resizeOffscreen(width, height, self._context)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)

    def render(self, data: Any, camera: str) -> np.ndarray:
        """Return what a camera sees, (H, W, 3) uint8 RGB. Each image has noise of its own.

        Raises:
            VgilError: for a camera that is not there.
        """
        if camera not in self._sizes:
            raise VgilError(f"camera '{camera}' is unknown; allowed: {list(self._sizes)}")
        image = self.draw(data, camera, *self._sizes[camera])
        number = self._frames[camera]
        self._frames[camera] += 1
        height, width = image.shape[:2]
        key = (self._seed * 1_000_003 + number * 7_919 + list(self._sizes).index(camera) * 104_729) & 0x7FFFFFFF
        row, column = (key * 48_271 >> 7) % height, (key * 69_621 >> 5) % width
        return _with_noise(image, self._tile[row : row + height, column : column + width])

    def draw(self, data: Any, camera: str, height: int, width: int) -> np.ndarray:
        """Return a camera's image in any size up to the context's, without noise."""
        self._gl.make_current()
        self._camera.fixedcamid = self._model.camera(camera).id
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, everything, self._scene)
        rect = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(rect, self._scene, self._context)
        pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, rect, self._context)
        return pixels[::-1]  # OpenGL's rows run upwards

    def restart(self, seed: int) -> None:
        """Begin the sensor noise anew."""
        self._seed = seed
        self._frames = dict.fromkeys(self._sizes, 0)

    def close(self) -> None:
        """Free the context."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()


def _noise_tile(height: int, width: int) -> np.ndarray:
    """Noise (2H, 2W, 3) uint8 of which each image takes a window; -1 and -2 stand as 255 and 254."""
    rng = np.random.default_rng(0)
    return rng.integers(-NOISE, NOISE, (2 * height, 2 * width, 3), np.int8, endpoint=True).view(np.uint8)


def _with_noise(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Add noise in uint8 arithmetic, which wraps: the image is kept far enough from both ends first."""
    bounded = np.clip(image, NOISE, 255 - NOISE)
    np.add(bounded, noise, out=bounded)
    result: np.ndarray = bounded
    return result
