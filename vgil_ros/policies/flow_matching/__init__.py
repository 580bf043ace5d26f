"""Flow matching over action chunks (Lipman et al. 2022, arXiv 2210.02747), laid out as in pi0 (arXiv 2410.24164)."""

from vgil_ros.policies.flow_matching.config import FlowConfig, FlowMatchingConfig, TeacherNote
from vgil_ros.policies.flow_matching.policy import FlowMatchingPolicy, FlowPolicy

__all__ = ["FlowConfig", "FlowMatchingConfig", "FlowMatchingPolicy", "FlowPolicy", "TeacherNote"]
