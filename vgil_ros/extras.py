"""Optional dependencies: the extra of this package that installs each, told where one is missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from vgil_ros.core.errors import VgilError

_ROS = (
    "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "nav_msgs", "rclpy", "rosgraph_msgs", "sensor_msgs",
    "std_msgs", "std_srvs", "trajectory_msgs", "visualization_msgs",
)  # fmt: skip
EXTRA_OF: dict[str, str] = {
    "torch": "policy",
    "torchvision": "policy",
    "safetensors": "policy",
    "diffusers": "diffusion",
    "transformers": "vla",
    "tokenizers": "vla",
    "accelerate": "train",
    "mujoco": "sim",
    "gymnasium": "gym",
    "gym_aloha": "gym",
    "matplotlib": "plot",
    "av": "plot",
    "serial": "feetech",
    "websockets": "remote",
    "msgpack": "remote",
    "pyarrow": "data",
    "zarr": "data",
    "numcodecs": "data",
    "mcap": "data",
    "zstandard": "data",
    "ray": "ray",
    "nicegui": "web",
    "fastapi": "web",
    "uvicorn": "web",
    **dict.fromkeys(_ROS, "ros"),
}


class MissingDependency(VgilError, ImportError):
    """An optional dependency that is needed now and not installed."""


@contextmanager
def needed_by(user: str) -> Iterator[None]:
    """Around an import: a missing optional dependency becomes an error that names `user` and what installs it.

    Raises:
        MissingDependency: where the missing module is one of `EXTRA_OF`; another one's error passes unchanged.
    """
    try:
        yield
    except MissingDependency:
        raise
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRA_OF:
            raise
        raise _missing(user, missing) from error


def need(user: str, *modules: str) -> None:
    """Refuse to go on without optional dependencies; none of them is loaded.

    Args:
        user: what needs them, as the subject of a sentence.
        modules: keys of `EXTRA_OF`.

    Raises:
        MissingDependency: for the first that is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise _missing(user, module)


def _missing(user: str, module: str) -> MissingDependency:
    extra = EXTRA_OF[module]
    ways = "source a ROS 2 installation, or " if extra == "ros" else ""
    return MissingDependency(
        f"{user} needs {module}, which is not installed; {ways}pip install 'vgil_ros[{extra}]'", name=module
    )
