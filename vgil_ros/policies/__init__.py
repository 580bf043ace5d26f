"""Policies: what they are made of, how they are stored, imported and run. Needs torch; no ROS, no HDF5."""

from vgil_ros.policies.base import LossOutput, Policy
from vgil_ros.policies.checkpoint import CheckpointInfo, describe_checkpoint, load_policy, read_config
from vgil_ros.policies.config import CameraSpec, Normalization, PolicyConfig
from vgil_ros.policies.errors import CheckpointError, PolicyError
from vgil_ros.policies.normalizer import Normalizer
from vgil_ros.policies.observation import Batch, Observation

__all__ = [
    "Batch",
    "CameraSpec",
    "CheckpointError",
    "CheckpointInfo",
    "LossOutput",
    "Normalization",
    "Normalizer",
    "Observation",
    "Policy",
    "PolicyConfig",
    "PolicyError",
    "describe_checkpoint",
    "load_policy",
    "read_config",
]
