"""Checkpoints of other projects, made into checkpoint folders of this one. No pickle is ever executed."""

from vgil_ros.policies.importers.api import ImportReport, import_checkpoint

__all__ = ["ImportReport", "import_checkpoint"]
