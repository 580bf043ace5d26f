"""ACT with optical flow as a policy: units in, units out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vgil_ros.policies.act.model import ActOutput
from vgil_ros.policies.act.policy import ActPolicy
from vgil_ros.policies.flow_act.config import FlowActConfig
from vgil_ros.policies.flow_act.model import FlowActModel
from vgil_ros.policies.observation import Observation
from vgil_ros.policies.optical_flow import FlowField, field_size
from vgil_ros.policies.preparation import check_cameras, check_known, check_vector, prepare, prepare_past, to_tensor


class FlowActPolicy(ActPolicy):
    """ACT that is also shown, for each camera, how its image has moved since `flow_gap_s` before.

    An observation's past holds the images of then, or, from a cache in training, "flow": {camera: (B, 1, h, w, 2)
    float16 px} in their place. Where nothing of the past is known, flow is zero: the model stays the same.
    """

    config_class: ClassVar[type[FlowActConfig]] = FlowActConfig
    config: FlowActConfig
    model: FlowActModel

    def __init__(self, config: FlowActConfig) -> None:
        super().__init__(config)
        self.flow = FlowField(config.optical_flow)

    def make_model(self) -> FlowActModel:
        """The network."""
        return FlowActModel(self.config)

    def forward_normalized(
        self, observation: Observation, action: Tensor | None = None, is_pad: Tensor | None = None
    ) -> ActOutput:
        """See `ActPolicy.forward_normalized`."""
        self.require_normalizer()
        qpos, frames = prepare(self.config, observation, self.device)
        flows = [flow.div(self.config.max_flow).clamp_(-1, 1) for flow in self.flows(observation, frames)]
        images = [self.normalizer.normalize_images(image, index) for index, image in enumerate(frames)]
        return self.model.forward_flow(self.normalizer.qpos(qpos), images, flows, action, is_pad)

    def flows(self, observation: Observation, images: list[Tensor]) -> list[Tensor]:
        """Give the flow of each camera, (B, 2, h, w) float32 px; zero where the past is unknown.

        Args:
            images: the observation's own, (B, H, W, 3) uint8 in the policy's order.

        Raises:
            PolicyError: the past does not fit the configuration.
        """
        if "flow" in observation.get("past", ()):
            return self._given(observation, images)
        past = prepare_past(self.config, observation, self.device)
        flows = [self._zero(image) for image in images]
        if past is not None:
            known = past.known[:, 0].nonzero()[:, 0]
            for flow, image, before in zip(flows, images, past.images, strict=True):
                check_vector("past image", tuple(before.shape[2:]), tuple(image.shape[1:]))
                if len(known):
                    flow[known] = self.flow(before[known, 0], image[known])
        return flows

    def _zero(self, image: Tensor) -> Tensor:
        size = field_size(image.shape[1], image.shape[2], self.config.flow_shrink)
        return torch.zeros(len(image), 2, *size, device=self.device)

    def _given(self, observation: Observation, images: list[Tensor]) -> list[Tensor]:
        given, known = observation["past"]["flow"], check_known(self.config, observation, self.device)
        check_cameras(self.config, given)
        flows = []
        for name, image in zip(self.config.camera_names, images, strict=True):
            zero, flow = self._zero(image), to_tensor(given[name], self.device)
            check_vector(f"past flow of {name}", tuple(flow.shape), (len(zero), 1, *zero.shape[2:], 2))
            moved = flow[:, 0].permute(0, 3, 1, 2).float()
            flows.append(torch.where(known[:, 0, None, None, None], moved, zero))
        return flows
