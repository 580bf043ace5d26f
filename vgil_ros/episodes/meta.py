"""Metadata of an episode, known before its first row and fixed, so that every dataset can be made up front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import Frame
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec

Storage = Literal["jpeg", "passthrough", "raw"]
DEFAULT_QUALITY = 90


@dataclass(frozen=True)
class CameraMeta:
    """A camera as it is stored.

    Attributes:
        name: its name in the contract.
        height, width: pixels.
        storage: "jpeg" (encoded here), "passthrough" (the camera's own JPEG), "raw", or None for depth (uint16 mm).
    """

    name: str
    height: int
    width: int
    storage: Storage | None = "jpeg"

    @property
    def row_bytes(self) -> int:
        """Bytes of an uncompressed image."""
        return self.height * self.width * (2 if self.storage is None else 3)


@dataclass(frozen=True)
class VectorMeta:
    """A vector as it is stored: its name in the contract, and how many numbers a row has."""

    name: str
    size: int


@dataclass(frozen=True)
class EpisodeMeta:
    """Everything that is the same in all rows.

    Attributes:
        robot: the contract's name.
        contract: the contract's YAML text.
        rate_hz: ticks a second.
        streams: names of the streams, the columns of `/sync/skew_ns` and `/sync/flags`.
        joint_names: names of the columns of qpos and action.
        cameras, depths: colour and depth cameras, in the contract's order.
        vectors: further vectors, in the contract's order.
        has_velocity, has_effort, has_base_velocity: what the robot measures besides positions.
        has_base: whether there is a `/base_action`.
        task: what was shown, in the user's words.
        quality: JPEG quality, 1..100, where images are encoded here.
        words: operator, object, scene and note, in the user's words; by attribute, of those that were given.
        has_takeover: rows say who acted, and what policy and human wanted (see `reading.columns.ACTING`).
    """

    robot: str
    contract: str
    rate_hz: float
    streams: tuple[str, ...]
    joint_names: tuple[str, ...]
    cameras: tuple[CameraMeta, ...] = ()
    depths: tuple[CameraMeta, ...] = ()
    has_velocity: bool = False
    has_effort: bool = False
    has_base: bool = False
    has_base_velocity: bool = False
    task: str = ""
    quality: int = DEFAULT_QUALITY
    vectors: tuple[VectorMeta, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    has_takeover: bool = False

    def __post_init__(self) -> None:
        if not self.joint_names:
            raise VgilError("an episode needs at least one joint; found none")
        if not 1 <= self.quality <= 100:
            raise VgilError(f"JPEG quality is {self.quality}; allowed: 1 to 100")
        if not self.rate_hz > 0:
            raise VgilError(f"rate_hz is {self.rate_hz}; allowed: above 0")
        for what, names in (
            ("cameras", self.camera_names),
            ("depths", self.depth_names),
            ("streams", self.streams),
            ("vectors", self.vector_names),
        ):
            if len(set(names)) != len(names):
                raise VgilError(f"{what} are {list(names)}; allowed: each name once")

    @property
    def dim(self) -> int:
        """D, the columns of qpos and action."""
        return len(self.joint_names)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Colour cameras, the rows of `/compress_len`."""
        return tuple(camera.name for camera in self.cameras)

    @property
    def depth_names(self) -> tuple[str, ...]:
        """Depth cameras."""
        return tuple(camera.name for camera in self.depths)

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Further vectors."""
        return tuple(vector.name for vector in self.vectors)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row before compression: what a queued row may hold."""
        return (
            sum(camera.row_bytes for camera in (*self.cameras, *self.depths))
            + 16 * self.dim
            + sum(8 * vector.size for vector in self.vectors)
        )

    @classmethod
    def from_contract(
        cls,
        contract: Contract,
        text: str,
        streams: Sequence[StreamSpec],
        first_observation: Mapping[str, Any],
        *,
        task: str = "",
        image_format: Literal["jpeg", "raw"] = "jpeg",
        quality: int = DEFAULT_QUALITY,
        words: Mapping[str, str] | None = None,
        takeover: bool = False,
    ) -> EpisodeMeta:
        """Return the meta of an episode of a robot; the first observation says what it really measures.

        Args:
            contract, text: the robot's contract and its YAML.
            streams: the streams that are synchronised, in their order.
            first_observation: as `core.timesteps.ObservationBuilder` makes it.
            task: what is shown.
            image_format: "jpeg" or "raw"; a camera that sends JPEG is passed through in either case, unless the
                contract wants it in the peers' order.
            quality: of JPEGs encoded here.
            words: see the class.
            takeover: a human could take over while it was recorded.
        """
        layout = Layout(contract)
        sizes = {camera.name: (camera.height, camera.width) for camera in contract.cameras}
        anew = {camera.name for camera in contract.cameras if camera.jpeg_order == "peers"}
        images, depths = first_observation.get("images", {}), first_observation.get("depth", {})
        return cls(
            robot=contract.name,
            contract=text,
            rate_hz=contract.rate_hz,
            streams=tuple(stream.name for stream in streams),
            joint_names=layout.joint_names,
            cameras=tuple(CameraMeta(n, *sizes[n], _storage(images[n], image_format, n in anew)) for n in images),
            depths=tuple(CameraMeta(n, *sizes[n], None) for n in depths),
            has_velocity="qvel" in first_observation,
            has_effort="effort" in first_observation,
            has_base=contract.base is not None,
            has_base_velocity="base_vel" in first_observation,
            task=task,
            quality=quality,
            vectors=tuple(VectorMeta(n, len(values)) for n, values in first_observation.get("vectors", {}).items()),
            words=dict(words or {}),
            has_takeover=takeover,
        )


def _storage(image: Frame | np.ndarray, image_format: Storage, anew: bool) -> Storage:
    if isinstance(image, Frame) and image.encoding == "jpeg" and not anew:
        return "passthrough"
    return image_format
