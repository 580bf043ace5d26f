"""The simulator's two clocks: the loop that keeps to deadlines, and the thread that makes the images."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import mujoco
import numpy as np

from vgil_ros.robots.sim.robot import SimRobot
from vgil_ros.robots.sim.simulation import START_NS

LATE_S = 0.1  # a loop that is further behind gives up the lost time instead of running after it


class Pacer:
    """Deadlines `n / rate`, and the stamp of each.

    Args:
        rate: Hz, in simulated time.
        speed: simulated seconds per second; 0: no waiting at all.
        simulated: stamps are simulated time even at speed 1; at any other speed they always are.
    """

    def __init__(self, rate: float, speed: float, simulated: bool = False) -> None:
        self._period, self._speed, self._simulated = 1.0 / rate, speed, simulated
        self._count = 0
        self._origin: float | None = None
        self.lost_s = 0.0

    @property
    def real_time(self) -> bool:
        """Whether stamps are the wall clock's."""
        return self._speed == 1.0 and not self._simulated

    def wait(self) -> int:
        """Wait for the next deadline and return its stamp (ns)."""
        if self._origin is None:
            self._origin = time.monotonic()
        self._count += 1
        elapsed = self._count * self._period
        if self._speed > 0:
            deadline = self._origin + elapsed / self._speed
            behind = time.monotonic() - deadline
            if behind < 0:
                time.sleep(-behind)
            elif behind > LATE_S:
                self._origin += behind
                self.lost_s += behind
        if not self.real_time:
            return START_NS + round(elapsed * 1e9)
        late = time.monotonic() - (self._origin + elapsed)
        return time.time_ns() - round(late * 1e9)


class Cameras(Protocol):
    """Who makes the images."""

    def submit(self, stamp: int) -> None:
        """Ask for images of the world as it is now, with a stamp (ns)."""

    def skipped(self) -> float:
        """Return the share (0..1) of what was asked for since the last call that was left out."""

    def close(self) -> None:
        """End, once what is under way is done."""


class CamerasInStep:
    """Makes images at once, in the thread that steps the world: of worlds that cannot be asked for their past.

    Args:
        cameras: their names.
        render: from a name to the image (H, W, 3) uint8 RGB.
        publish: called with camera name, image and stamp (ns).
    """

    def __init__(
        self,
        cameras: Sequence[str],
        render: Callable[[str], np.ndarray],
        publish: Callable[[str, np.ndarray, int], None],
    ) -> None:
        self._cameras, self._render, self._publish = cameras, render, publish

    def submit(self, stamp: int) -> None:
        """Draw and publish every camera."""
        for camera in self._cameras:
            self._publish(camera, self._render(camera), stamp)

    def skipped(self) -> float:
        """Nothing ever is; what takes too long is lost time of the world."""
        return 0.0

    def close(self) -> None:
        """Nothing is under way."""


class CameraThread:
    """Makes images of snapshots of the world, beside the physics.

    Args:
        robot: whose cameras these are.
        publish: called in this thread with camera name, image (H, W, 3) uint8 RGB and stamp (ns).
        lossless: `submit` waits until the last snapshot's images are published; otherwise that one is replaced.

    Raises:
        GraphicsError: where the machine has no usable OpenGL.
    """

    def __init__(self, robot: SimRobot, publish: Callable[[str, np.ndarray, int], None], lossless: bool) -> None:
        self._robot, self._publish, self._lossless = robot, publish, lossless
        self._cameras: Sequence[str] = [camera.name for camera in robot.contract.cameras]
        self._waiting, self._drawing = (mujoco.MjData(robot.model) for _ in range(2))
        self._stamp: int | None = None
        self._busy = False  # images of the last snapshot are not all published yet
        self._change = threading.Condition()
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._ended = False
        self._asked = self._skipped = 0
        self._thread = threading.Thread(target=self._run, name="cameras", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def submit(self, stamp: int) -> None:
        """Ask for images of the robot's world, of which a copy is taken.

        Raises:
            Exception: what ended the thread, if something has.
        """
        with self._change:
            while self._lossless and (self._stamp is not None or self._busy) and not self._ended:
                self._change.wait(0.1)
            if self._error is not None:
                raise self._error
            self._asked += 1
            self._skipped += self._stamp is not None
            mujoco.mj_copyData(self._waiting, self._robot.model, self._robot.data)
            self._stamp = stamp
            self._change.notify_all()

    def skipped(self) -> float:
        """Return the share (0..1) of snapshots since the last call that were replaced before they were drawn."""
        with self._change:
            share = self._skipped / max(1, self._asked)
            self._asked = self._skipped = 0
        return share

    def close(self) -> None:
        """End the thread and free its context."""
        with self._change:
            self._ended = True
            self._change.notify_all()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        try:
            renderer = self._robot.make_renderer()
        except BaseException as error:
            self._error = error
            self._ready.set()
            return
        self._ready.set()
        try:
            while (stamp := self._take()) is not None:
                for camera in self._cameras:
                    self._publish(camera, renderer.render(self._drawing, camera), stamp)
        except BaseException as error:
            with self._change:
                self._error, self._ended = error, True
                self._change.notify_all()
        finally:
            renderer.close()

    def _take(self) -> int | None:
        with self._change:
            self._busy = False
            self._change.notify_all()
            while self._stamp is None and not self._ended:
                self._change.wait()
            if self._ended:
                return None
            stamp, self._stamp = self._stamp, None
            self._waiting, self._drawing = self._drawing, self._waiting
            self._busy = True
            self._change.notify_all()
            return stamp
