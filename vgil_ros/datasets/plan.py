"""What a conversion is to do, settled before its first episode and kept with its pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from vgil_ros.core.config import StrictModel
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.hdf5 import Hdf5Sink
from vgil_ros.datasets.lerobot.video import USUAL_CRF
from vgil_ros.datasets.lerobot.writer import LeRobotSink
from vgil_ros.datasets.mcap_episodes.writer import McapSink
from vgil_ros.datasets.pieces import Sink
from vgil_ros.datasets.schema import Shape
from vgil_ros.datasets.zarr_store import ZarrSink
from vgil_ros.episodes.convert import TARGETS as HDF5

To = Literal[
    "lerobot_v3", "lerobot_v2.1", "zarr", "aloha", "mobile_aloha", "act_plus_plus", "cobot_magic", "vgil", "mcap"
]
TARGETS: tuple[str, ...] = get_args(To)
LEROBOT: dict[str, Literal["v3.0", "v2.1"]] = {"lerobot_v3": "v3.0", "lerobot_v2.1": "v2.1"}
IMAGES = {
    **dict.fromkeys(LEROBOT, ("h264", "av1", "png")),
    "vgil": ("jpeg", "raw"),
    "mcap": ("kept", "png", "raw"),
}  # the first is the usual one
LEAST_DB, MOST_DB = 40.0, 48.0  # beyond, the rounding of colours is all that is left
CRF_LIMITS, JPEG_LIMITS = {"h264": (0, 51), "av1": (0, 63)}, (1, 100)


class Plan(StrictModel):
    """One conversion.

    Attributes:
        source: as it was given. to: one of `TARGETS`.
        images: how they are stored, where the layout leaves it open.
        quality: CRF of a video, quality of JPEGs; None: the usual.
        least_db: PSNR that each image of a video has to reach; 0: any. None: 40, or any where `quality` is given.
        rate_hz: where the source does not store it.
        layout: of HDF5 files, where the caller knows better.
        only: names of the episodes to take; None: all.
        shape: of all episodes, where the layout holds one kind of row alone.
    """

    source: Path
    to: To
    images: str | None = None
    quality: int | None = None
    least_db: float | None = None
    rate_hz: float | None = None
    layout: str | None = None
    only: tuple[str, ...] | None = None
    shape: Shape | None = None

    def checked(self) -> Plan:
        """The plan with its usual values.

        Raises:
            DatasetError: naming a value that is not allowed.
        """
        allowed = IMAGES.get(self.to, ())
        if self.images is not None and self.images not in allowed:
            words = list(allowed) or "none, the layout says how images are stored"
            raise DatasetError(f"--images is '{self.images}'; allowed for {self.to}: {words}")
        images = self.images or (allowed[0] if allowed else None)
        low, high = CRF_LIMITS.get(str(images), JPEG_LIMITS)
        if self.quality is not None and not low <= self.quality <= high:
            raise DatasetError(f"--quality is {self.quality}; allowed: {low} to {high}")
        if self.rate_hz is not None and not 0 < self.rate_hz <= 100_000:
            raise DatasetError(f"--rate is {self.rate_hz} Hz; allowed: above 0, up to 100000")
        return self.model_copy(update={"images": images, "least_db": self._least_db(images)})

    def _least_db(self, images: str | None) -> float:
        video = images in CRF_LIMITS
        if self.least_db is None:
            return LEAST_DB if video and self.quality is None else 0.0
        if not video or self.quality is not None:
            words = "--quality is given" if video else f"nothing of {self.to} is a video"
            raise DatasetError(f"--psnr is {self.least_db:g} and {words}; allowed: --psnr alone, with a video")
        if not 0 <= self.least_db <= MOST_DB:
            raise DatasetError(f"--psnr is {self.least_db:g} dB; allowed: 0 (any) to {MOST_DB}")
        return self.least_db

    @property
    def one_shape(self) -> bool:
        """Whether all episodes must have one shape."""
        return self.to not in (*HDF5, "mcap")

    def sink(self) -> Sink:
        """What writes."""
        if self.to in HDF5:
            return Hdf5Sink(self.to, raw=self.images == "raw", quality=self.quality, rate_hz=self.rate_hz)
        if self.to == "mcap":
            return McapSink(str(self.images), self.rate_hz)
        assert self.shape is not None
        if self.to == "zarr":
            return ZarrSink(self.shape)
        codec: Any = self.images if self.images in USUAL_CRF else "png"
        return LeRobotSink(LEROBOT[self.to], self.shape, codec, self.quality, self.least_db or 0.0)
