"""Record teleoperation, train, and run visuomotor policies on ROS 2 robots.

`import vgil_ros` loads nothing but itself. Each name of `__all__` loads what it needs when it is first used, so that
episodes can be read where torch is absent, and policies run where ROS 2 is.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; at run time `__getattr__` finds the same
    from vgil_ros.api import evaluate, train
    from vgil_ros.assets import Robot, load_robot
    from vgil_ros.core.execution.registry import make_executor
    from vgil_ros.core.safety.pipeline import SafetyPipeline
    from vgil_ros.core.sync.synchronizer import Synchronizer
    from vgil_ros.episodes.reader import EpisodeReader
    from vgil_ros.episodes.writer import EpisodeWriter
    from vgil_ros.nodes.environment.environment import RosEnvironment
    from vgil_ros.policies.checkpoint import load_policy
    from vgil_ros.policies.inference.runtime import InferenceRuntime as PolicyRunner

__all__ = [
    "EpisodeReader",
    "EpisodeWriter",
    "PolicyRunner",
    "Robot",
    "RosEnvironment",
    "SafetyPipeline",
    "Synchronizer",
    "evaluate",
    "load_policy",
    "load_robot",
    "make_executor",
    "train",
]

_WHERE = {
    "EpisodeReader": "vgil_ros.episodes.reader:EpisodeReader",
    "EpisodeWriter": "vgil_ros.episodes.writer:EpisodeWriter",
    "PolicyRunner": "vgil_ros.policies.inference.runtime:InferenceRuntime",
    "Robot": "vgil_ros.assets:Robot",
    "RosEnvironment": "vgil_ros.nodes.environment.environment:RosEnvironment",
    "SafetyPipeline": "vgil_ros.core.safety.pipeline:SafetyPipeline",
    "Synchronizer": "vgil_ros.core.sync.synchronizer:Synchronizer",
    "evaluate": "vgil_ros.api:evaluate",
    "load_policy": "vgil_ros.policies.checkpoint:load_policy",
    "load_robot": "vgil_ros.assets:load_robot",
    "make_executor": "vgil_ros.core.execution.registry:make_executor",
    "train": "vgil_ros.api:train",
}


def _version() -> str:
    """The version that package.xml states: read there in a source checkout, from the metadata of an installation."""
    manifest = Path(__file__).resolve().parents[1] / "package.xml"
    if manifest.is_file():
        found = re.search(r"<version>\s*(\S+?)\s*</version>", manifest.read_text(encoding="utf-8"))
        if found is not None:
            return found[1]
    from importlib import metadata  # lazily: a tenth of the time in which a command starts

    try:
        return metadata.version("vgil_ros")
    except metadata.PackageNotFoundError:
        return "unknown"  # a copy of the folder, neither a checkout nor installed


__version__ = _version()


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'vgil_ros' has no attribute {name!r}")
    from vgil_ros.extras import needed_by

    module, _, attribute = _WHERE[name].partition(":")
    with needed_by(f"vgil_ros.{name}"):
        value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
