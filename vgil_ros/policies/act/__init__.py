"""Action Chunking with Transformers (Zhao et al. 2023, arXiv 2304.13705)."""

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.act.policy import ActPolicy

__all__ = ["ActConfig", "ActPolicy"]
