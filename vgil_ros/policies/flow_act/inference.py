"""ACT with optical flow for inference on one observation: the same numbers as `predict_chunk`, nothing computed twice.

RAFT is a part of the pass: shapes are static and nothing waits for the device, so that on CUDA it lies in one graph
with backbones and transformer. DIS runs on the CPU before the pass, which reads its flow from buffers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.act.inference import ActInferenceModule
from vgil_ros.policies.flow_act.model import resized
from vgil_ros.policies.flow_act.policy import FlowActPolicy
from vgil_ros.policies.nn.backbones import grid_size
from vgil_ros.policies.optical_flow import field_size
from vgil_ros.policies.preparation import batched, check_vector, prepare, prepare_past


class FlowActInferenceModule(ActInferenceModule):
    """ACT's folded weights; each camera's tokens are fused with its flow. Where no past is known, flow is zero."""

    def __init__(self, policy: FlowActPolicy, dtype: torch.dtype) -> None:
        super().__init__(policy, dtype)
        self._policy = policy
        self._inside = policy.config.flow_method == "raft_small"
        self._known = torch.zeros(1, device=policy.device)
        self._buffers: dict[int, Tensor] = {}  # of each camera: the previous image, or the flow

    def load(self, observation: RobotObservation) -> None:
        """The past; see `InferenceModule.load`."""
        policy, one = self._policy, batched(observation)
        device = torch.device("cpu") if self._inside else policy.device
        _, images = prepare(policy.config, one, device)
        if not self._inside:
            for index, flow in enumerate(policy.flows(one, images)):
                self._buffer(index, images[index][0]).copy_(flow[0])
            return
        past = prepare_past(policy.config, one, device)
        if past is None:
            self._known.zero_()
            return
        for index, (image, before) in enumerate(zip(images, past.images, strict=True)):
            check_vector("past image", tuple(before.shape[2:]), tuple(image.shape[1:]))
            self._buffer(index, image[0]).copy_(before[0, 0])
        self._known.copy_(past.known[0])

    def _image_tokens(self, images: list[Tensor]) -> list[Tensor]:
        model, limit = self._policy.model, self._policy.config.max_flow
        fused = []
        for index, (image, tokens) in enumerate(zip(images, super()._image_tokens(images), strict=True)):
            grid = grid_size(int(image.shape[0]), int(image.shape[1]))
            feature = tokens.t().reshape(1, -1, *grid)
            flow = self._flow(index, image).div(limit).clamp(-1, 1)
            with torch.autocast(image.device.type, self._dtype, enabled=self._dtype != torch.float32):
                both = model.fusion(feature, resized(model.flow_backbone(flow), grid))
            fused.append(both[0].flatten(1).t().to(self._dtype))
        return fused

    def _flow(self, camera: int, image: Tensor) -> Tensor:
        """(1, 2, h, w) float32 px."""
        kept = self._buffer(camera, image)[None]
        if not self._inside:
            return kept
        flow: Tensor = self._policy.flow(kept, image[None])
        return flow * self._known

    def _buffer(self, camera: int, image: Tensor) -> Tensor:
        """What is kept for a camera: its previous image (H, W, 3) uint8, or its flow (2, h, w) float32."""
        if camera not in self._buffers:
            device = self._policy.device
            if self._inside:
                made = torch.zeros(image.shape, dtype=torch.uint8, device=device)
            else:
                size = field_size(int(image.shape[0]), int(image.shape[1]), self._policy.config.flow_shrink)
                made = torch.zeros(2, *size, device=device)
            self._buffers[camera] = made
        return self._buffers[camera]
