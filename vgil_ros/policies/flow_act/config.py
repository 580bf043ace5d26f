"""Sizes of ACT with optical flow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.optical_flow import FlowSettings
from vgil_ros.policies.optical_flow.field import FlowMethod

Fusion = Literal["concat", "attention", "gate"]


class FlowActConfig(ActConfig):
    """ACT's configuration and the flow's.

    Attributes:
        flow_gap_s: time between the two images. By default a multiple of the frame time of 30 Hz cameras, so that the
            images nearest to two ticks of a faster loop are always as many frames apart.
        flow_gap_ticks: the same in ticks; stands in for flow_gap_s, and is needed where the data does not say its rate.
        flow_method: "dis" (OpenCV, no weights) or "raft_small" (torchvision; its weights go into the checkpoint).
        max_flow: pixels to which flow is clamped and by which it is divided. The field uses 10 to 40.
        flow_shrink: pixels a side over which flow is averaged before its backbone. By default the backbone's output
            then has the stride of the image's features; 1 is the published form, and 16 times the work.
        flow_channels: of the flow backbone's first layers; hidden_dim follows.
        fusion: how flow and image features become one: concatenated; concatenated and gated by channel; or blended by
            a gate between the two.
    """

    type: Literal["flow_act"] = "flow_act"  # type: ignore[assignment]
    flow_gap_s: float = Field(default=0.1, gt=0)
    flow_gap_ticks: int | None = Field(default=None, gt=0)
    flow_method: FlowMethod = "dis"
    max_flow: float = Field(default=20.0, gt=0)
    flow_shrink: int = Field(default=4, gt=0)
    flow_channels: tuple[int, int, int] = (64, 128, 256)
    fusion: Fusion = "concat"

    @model_validator(mode="after")
    def _gap_is_known(self) -> FlowActConfig:
        if self.flow_gap_ticks is None and self.rate_hz is None:
            raise ValueError("flow_gap_s cannot be told in ticks, as the data's rate is unknown: give flow_gap_ticks")
        if min(self.flow_channels) < 1:
            raise ValueError(f"flow_channels {self.flow_channels}: allowed are numbers above 0")
        return self

    @property
    def obs_offsets(self) -> tuple[int, ...]:
        """One: where the previous image is."""
        if self.flow_gap_ticks is not None:
            return (self.flow_gap_ticks,)
        assert self.rate_hz is not None
        return (max(1, round(self.flow_gap_s * self.rate_hz)),)

    @property
    def optical_flow(self) -> FlowSettings:
        """How flow is computed."""
        return FlowSettings(method=self.flow_method, max_flow=self.max_flow, shrink=self.flow_shrink)
