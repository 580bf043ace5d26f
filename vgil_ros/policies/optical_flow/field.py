"""From two images to the flow that a policy is shown: method, clamp, reduction. One path for training and robot."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from vgil_ros.core.config import StrictModel
from vgil_ros.policies.errors import PolicyError

SMALLEST = 16  # pixels a side that OpenCV needs; smaller images are continued by their edges


class Dis(nn.Module):
    """OpenCV's DIS in its fast setting, on grey images; on the CPU, whatever device the images are on."""

    def forward(self, origin: Tensor, target: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 twice -> (B, 2, H, W) float32: where each pixel of `origin` lies in `target`, less itself.

        x to the right and y down, in pixels. It is the same whatever the number of threads.

        Raises:
            PolicyError: OpenCV is not installed.
        """
        try:
            import cv2  # lazily: the other policies run without it
        except ImportError as error:
            raise PolicyError(
                "flow_method 'dis' needs OpenCV; pip install opencv-python-headless, or take 'raft_small'"
            ) from error
        height, width = origin.shape[1:3]
        rows, columns = max(SMALLEST - height, 0), max(SMALLEST - width, 0)
        flow = np.empty((len(origin), max(height, SMALLEST), max(width, SMALLEST), 2), np.float32)
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # type: ignore[attr-defined]  # no stub
        for out, *pair in zip(flow, origin.cpu().numpy(), target.cpu().numpy(), strict=True):
            grey = [np.pad(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), ((0, rows), (0, columns)), "edge") for one in pair]
            out[:] = search.calc(*grey, None)
        return torch.from_numpy(flow[:, :height, :width]).permute(0, 3, 1, 2).to(origin.device)


FlowMethod = Literal["dis", "raft_small"]


class FlowSettings(StrictModel):
    """How flow is computed.

    Attributes:
        method: OpenCV's DIS, or torchvision's RAFT-small.
        max_flow: pixels to either side to which flow is clamped.
        shrink: pixels a side over which the clamped flow is averaged; 1 leaves it as it is.
    """

    method: FlowMethod = "dis"
    max_flow: float = Field(default=20.0, gt=0)
    shrink: int = Field(default=4, gt=0)


class FlowField(nn.Module):
    """Two images of a camera -> how far what each part of the current one shows has moved since the previous one."""

    _place: Tensor

    def __init__(self, settings: FlowSettings) -> None:
        super().__init__()
        self.settings = settings
        self.method: nn.Module = _make(settings.method)
        self.register_buffer("_place", torch.zeros(0), persistent=False)  # tells the device

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._place.device

    def fill(self, file: str | None = None) -> None:
        """Take the method's weights, if it has any, from a file or from where its library keeps them.

        Raises:
            PolicyError: there are none, or they are those of something else.
        """
        if isinstance(self.method, Dis):
            return
        self.method.fill(file)  # type: ignore[operator]  # torch does not know its modules' methods

    def fingerprint(self) -> str:
        """Of settings and weights: the same where the same images give the same flow."""
        digest = hashlib.sha256(self.settings.model_dump_json().encode())
        for value in self.state_dict().values():
            digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 twice, as the camera sees -> (B, 2, h, w) float32, px, x to the right and y down.

        The flow is searched from the current image back to the previous one and turned round, so that it lies where
        the thing is now, on the grid of the current image's features. Values are float16's, so that what was stored
        is what is computed. (h, w) is `field_size`.
        """
        limit = self.settings.max_flow
        flow: Tensor = -self.method(current, previous)
        flow = avg_pool2d(flow.clamp(-limit, limit), self.settings.shrink, ceil_mode=True)
        return flow.half().float()


def field_size(height: int, width: int, shrink: int) -> tuple[int, int]:
    """(h, w) of the flow of an image."""
    return -(-height // shrink), -(-width // shrink)


def _make(method: FlowMethod) -> nn.Module:
    if method == "dis":
        return Dis()
    from vgil_ros.policies.optical_flow.raft import RaftSmall  # torchvision's models take a moment to import

    return RaftSmall()
