"""RViz' configuration: the one in config/rviz, with the images of the robot at hand."""

from __future__ import annotations

import os
import shutil
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from vgil_ros.assets import share_dir
from vgil_ros.core.contract import Contract

_IMAGE = "rviz_default_plugins/Image"


def template() -> Path:
    """The configuration that comes with the package; its images are those of `sim_aloha`."""
    return share_dir() / "config" / "rviz" / "vgil.rviz"


def installed() -> bool:
    """Whether RViz is found, on the ament path or on PATH."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return any(Path(prefix, "lib", "rviz2", "rviz2").is_file() for prefix in prefixes if prefix) or bool(
        shutil.which("rviz2")
    )


def config_for(contract: Contract, text: str, namespace: str = "") -> dict[str, Any]:
    """Return an RViz configuration with one Image display for each camera of a robot.

    Args:
        contract: the robot.
        namespace: of its nodes, as `/r2`; in it lies what they publish, and topics that do not begin with /.
        text: YAML of a configuration that has one Image display at least; it is the pattern for all.
    """
    config: dict[str, Any] = yaml.safe_load(text)
    displays = config["Visualization Manager"]["Displays"]
    pattern = next(display for display in displays if display["Class"] == _IMAGE)
    images = []
    for camera in contract.cameras:
        display = deepcopy(pattern)
        display["Name"] = camera.name
        display["Topic"]["Value"] = camera.topic if camera.topic.startswith("/") else f"{namespace}/{camera.topic}"
        images.append(display)
    rest = [display for display in displays if display["Class"] != _IMAGE]
    for display in rest:
        if "Topic" in display:
            display["Topic"]["Value"] = namespace + display["Topic"]["Value"]
    config["Visualization Manager"]["Displays"] = rest + images
    return config


def write_config(contract: Contract, namespace: str = "") -> Path:
    """Write a robot's configuration to a temporary file, and return its path."""
    text = yaml.safe_dump(config_for(contract, template().read_text(encoding="utf-8"), namespace), sort_keys=False)
    path = Path(tempfile.mkdtemp(prefix="vgil_rviz_")) / f"{contract.name}.rviz"
    path.write_text(text, encoding="utf-8")
    return path
