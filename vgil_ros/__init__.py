"""Record teleoperation, train, and run visuomotor policies on ROS 2 robots."""

import re
from importlib import metadata
from pathlib import Path


def _version() -> str:
    """The version that package.xml states: read there in a source checkout, from the metadata of an installation."""
    manifest = Path(__file__).resolve().parents[1] / "package.xml"
    if manifest.is_file():
        found = re.search(r"<version>\s*(\S+?)\s*</version>", manifest.read_text(encoding="utf-8"))
        if found is not None:
            return found[1]
    try:
        return metadata.version("vgil_ros")
    except metadata.PackageNotFoundError:
        return "unknown"  # a copy of the folder, neither a checkout nor installed


__version__ = _version()
