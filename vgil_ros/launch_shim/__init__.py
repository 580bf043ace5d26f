"""A stand-in for the part of `launch` and `launch_ros` that this package's launch files use.

It lets the same files run where those packages are not installed (ROS 2 wheels from PyPI). Names and behaviour follow
them; whatever is not here says so when it is imported.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from vgil_ros.launch_shim import actions
from vgil_ros.launch_shim.actions import LaunchContext, LaunchDescription, LaunchDescriptionEntity, ParameterValue

_MODULES: dict[str, dict[str, Any]] = {
    "launch": {
        "LaunchContext": LaunchContext,
        "LaunchDescription": LaunchDescription,
        "LaunchDescriptionEntity": LaunchDescriptionEntity,
    },
    "launch.actions": {
        "DeclareLaunchArgument": actions.DeclareLaunchArgument,
        "ExecuteProcess": actions.ExecuteProcess,
        "LogInfo": actions.LogInfo,
        "OpaqueFunction": actions.OpaqueFunction,
        "RegisterEventHandler": actions.RegisterEventHandler,
        "SetEnvironmentVariable": actions.SetEnvironmentVariable,
        "Shutdown": actions.Shutdown,
    },
    "launch.event_handlers": {"OnProcessExit": actions.OnProcessExit},
    "launch_ros": {},
    "launch_ros.actions": {"Node": actions.Node},
    "launch_ros.parameter_descriptions": {"ParameterValue": ParameterValue},
}


class _Module(ModuleType):
    """A module that says plainly what it lacks."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        allowed = sorted(_MODULES[self.__name__])
        raise ImportError(
            f"{self.__name__}.{name} is not part of `vgil launch`'s stand-in; allowed: {allowed}; "
            "with the ROS packages launch and launch_ros installed, all of it is"
        )


def install() -> None:
    """Put the stand-in's modules where `import launch` and `import launch_ros` find them."""
    for path, names in _MODULES.items():
        module = _Module(path)
        module.__dict__.update(names)
        module.__path__ = []
        sys.modules[path] = module
        parent, _, child = path.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
