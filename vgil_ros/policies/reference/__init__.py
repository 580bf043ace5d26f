"""What a policy was trained on, made small: how episodes began, what cameras saw then, how values were spread."""

from vgil_ros.policies.reference.data import DataReference, Spread, ViewReference
from vgil_ros.policies.reference.storage import encode_reference, read_reference, write_reference
from vgil_ros.policies.storage import REFERENCE_FILE

__all__ = [
    "REFERENCE_FILE",
    "DataReference",
    "Spread",
    "ViewReference",
    "encode_reference",
    "read_reference",
    "write_reference",
]
