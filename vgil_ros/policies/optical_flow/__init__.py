"""Optical flow between two images of a camera: what moved, and how far."""

from vgil_ros.policies.optical_flow.field import FlowField, FlowSettings, field_size

__all__ = ["FlowField", "FlowSettings", "field_size"]
