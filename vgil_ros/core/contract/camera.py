"""A camera in the contract, and where it hangs in the simulator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import Count, MillisecondsOrOff, Name, Number, StampPolicy, TopicName, Vector3
from vgil_ros.core.contract.webcam import DEFAULT_FPS, CameraControls, DevicePath


class SimulatedView(StrictModel):
    """Where a camera hangs in the simulator: metres in the fixed frame, or that of an arm's gripper link with `arm`.

    `fov`: of the image's height, degrees.
    """

    position: Vector3
    look_at: Vector3
    fov: Number = Field(default=50.0, ge=5, le=170)
    arm: Name | None = None

    @model_validator(mode="after")
    def _looks_somewhere(self) -> SimulatedView:
        if self.position == self.look_at:
            raise ValueError(f"position and look_at are both {list(self.position)}; allowed: two different places")
        return self


class Camera(StrictModel):
    """A camera's topic, image size in pixels, and how far from a tick its frame may be."""

    name: Name
    topic: TopicName
    type: Literal["image", "compressed", "depth", "compressed_depth"] = "image"
    height: Count = Field(ge=8, le=8192)
    width: Count = Field(ge=8, le=8192)
    latency_ms: Number = Field(default=0.0, ge=0, le=5000)
    tolerance_ms: Number | None = Field(default=None, gt=0)
    frozen_ms: MillisecondsOrOff | None = None
    stamp: StampPolicy = "header"
    jpeg_order: Literal["camera", "peers"] = "camera"
    device: DevicePath | None = None
    fps: Number | None = Field(default=None, ge=1, le=1000)
    controls: CameraControls | None = None
    sim: SimulatedView | None = None

    @property
    def is_depth(self) -> bool:
        """Whether its images are distances and no colours."""
        return self.type in ("depth", "compressed_depth")

    @property
    def capture_fps(self) -> float:
        """Frames a second at which its device is read."""
        return DEFAULT_FPS if self.fps is None else self.fps

    @model_validator(mode="after")
    def _consistent(self) -> Camera:
        if self.jpeg_order == "peers" and self.type != "compressed":
            raise ValueError(f"jpeg_order is 'peers' and type '{self.type}'; allowed: with type 'compressed' alone")
        if self.device is None and (self.fps is not None or self.controls is not None):
            given = "fps" if self.fps is not None else "controls"
            raise ValueError(f"{given} is given without device; allowed: with `device` alone, else its driver sets it")
        if self.device is not None and self.is_depth:
            raise ValueError(f"device is given and type is '{self.type}'; allowed with a device: image, compressed")
        return self
