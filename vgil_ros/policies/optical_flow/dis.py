"""Dense inverse search (Kroeger et al. 2016) from OpenCV: no weights, milliseconds on one core."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vgil_ros.policies.errors import PolicyError

SMALLEST = 16  # pixels a side that OpenCV needs; smaller pictures are continued by their edges


class Dis(nn.Module):
    """OpenCV's DIS in its fast setting, on grey pictures; on the CPU, whatever device the pictures are on."""

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
        found = np.empty((len(origin), max(height, SMALLEST), max(width, SMALLEST), 2), np.float32)
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # type: ignore[attr-defined]  # no stub
        for out, *pair in zip(found, origin.cpu().numpy(), target.cpu().numpy(), strict=True):
            grey = [np.pad(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), ((0, rows), (0, columns)), "edge") for one in pair]
            out[:] = search.calc(*grey, None)
        return torch.from_numpy(found[:, :height, :width]).permute(0, 3, 1, 2).to(origin.device)
