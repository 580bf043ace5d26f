"""Diffusion Policy (Chi et al. 2023, arXiv 2303.04137), the convolutional form."""

from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.diffusion.policy import DiffusionPolicy

__all__ = ["DiffusionConfig", "DiffusionPolicy"]
