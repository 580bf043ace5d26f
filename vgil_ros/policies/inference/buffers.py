"""Bring NumPy observations to the device through buffers that are made once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.preparation import check_cameras, check_image, check_parts, check_vector


class Staging:
    """Fixed buffers for one observation: pinned host memory and their twins on the device.

    On the CPU the buffers on both sides are the same memory, so that an observation is copied once. The copy is needed:
    the caller may overwrite its arrays while the network runs, and they need not be writeable or contiguous.
    """

    def __init__(self, config: PolicyConfig, sizes: tuple[tuple[int, int], ...], device: torch.device) -> None:
        pinned = device.type == "cuda"
        self._config, self._sizes = config, sizes
        self._host = [torch.zeros(config.state_dim, pin_memory=pinned)]
        self._host += [torch.zeros(h, w, 3, dtype=torch.uint8, pin_memory=pinned) for h, w in sizes]
        self._views = [buffer.numpy() for buffer in self._host]
        self._device = [buffer.to(device) for buffer in self._host] if pinned else self._host
        self._pinned = pinned

    @property
    def qpos(self) -> Tensor:
        """(D,) float32 on the device."""
        return self._device[0]

    @property
    def images(self) -> list[Tensor]:
        """One (H, W, 3) uint8 for each camera, on the device."""
        return self._device[1:]

    def load(self, observation: RobotObservation) -> None:
        """Check and copy one observation: qpos (D,), images {camera: (H, W, 3) uint8}.

        Raises:
            PolicyError: cameras, shapes, sizes or dtypes differ from what the buffers were made for.
        """
        check_parts(observation)
        qpos, images = observation["qpos"], observation["images"]
        check_vector("qpos", np.shape(qpos), (self._config.state_dim,))
        check_cameras(self._config, images)
        for index, name in enumerate(self._config.camera_names):
            image = images[name]
            check_vector(f"image of {name}", image.shape, (*self._sizes[index], 3))
            check_image(self._config, index, image.shape, image.dtype)
            np.copyto(self._views[1 + index], image)
        np.copyto(self._views[0], qpos, casting="same_kind")
        if self._pinned:
            for host, device in zip(self._host, self._device, strict=True):
                device.copy_(host, non_blocking=True)


def image_sizes(config: PolicyConfig, observation: RobotObservation) -> tuple[tuple[int, int], ...]:
    """(height, width) of each camera in the policy's order, from an observation without batch axis."""
    check_parts(observation)
    check_cameras(config, observation["images"])
    sizes = []
    for index, name in enumerate(config.camera_names):
        image = observation["images"][name]
        check_vector(f"image of {name}", np.shape(image), (None, None, 3))
        check_image(config, index, np.shape(image), image.dtype)
        sizes.append((int(image.shape[0]), int(image.shape[1])))
    return tuple(sizes)


WARM_UP_PASSES = 3  # cuDNN and cuBLAS choose kernels and take workspaces before recording


class RecordedPass:
    """`compute`, recorded: it must read the same input buffers at every call and must not wait for the device."""

    def __init__(self, compute: Callable[[], Tensor], stream: torch.cuda.Stream) -> None:
        self._stream = stream
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_PASSES):
                out = compute()
        stream.synchronize()
        self._host = torch.empty(out.shape, dtype=torch.float32, pin_memory=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self._out = compute()

    def __call__(self) -> Tensor:
        """Play it on the stream and wait; the result lies in host memory and is overwritten by the next call."""
        with torch.cuda.stream(self._stream):
            self._graph.replay()
            self._host.copy_(self._out, non_blocking=True)
        self._stream.synchronize()
        return self._host
