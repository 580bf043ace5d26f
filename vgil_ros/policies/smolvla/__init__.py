"""SmolVLA (Shukor et al. 2025, arXiv:2506.01844): a vision-language model, and an expert that flows to actions."""

from vgil_ros.policies.smolvla.config import SmolVlaConfig
from vgil_ros.policies.smolvla.policy import SmolVlaPolicy

__all__ = ["SmolVlaConfig", "SmolVlaPolicy"]
