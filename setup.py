"""Package metadata, for colcon (ament_python) and pip alike.

It stays here rather than in pyproject.toml because Humble's setuptools (59) does not read a
[project] table.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

NAME = "vgil_ros"
ROOT = Path(__file__).parent

ROS_WHEELS = [
    f"ros-{name}"
    for name in (
        "rclpy",
        "rmw-fastrtps-cpp",
        "diagnostic-msgs",
        "geometry-msgs",
        "nav-msgs",
        "rosgraph-msgs",
        "sensor-msgs",
        "std-msgs",
        "std-srvs",
        "trajectory-msgs",
        "visualization-msgs",
    )
]

EXTRAS = {
    "ros": ROS_WHEELS,  # only where no ROS 2 is installed
    "sim": ["mujoco>=3.3"],
    "plot": ["matplotlib>=3.5", "av>=12"],
    "policy": ["torch>=2.3", "torchvision", "safetensors>=0.4"],
    "diffusion": ["diffusers>=0.27"],  # policies of type diffusion
    "train": ["accelerate>=0.30", "tensorboard"],  # several processes or GPUs; curves beside the log
}
EXTRAS["demo"] = EXTRAS["ros"] + EXTRAS["sim"] + EXTRAS["plot"]
EXTRAS["dev"] = ["pytest>=8", "pytest-timeout", "pytest-xdist", "hypothesis", "ruff", "mypy", "types-PyYAML", "psutil"]


def shared_files() -> list[tuple[str, list[str]]]:
    """Everything under launch/, config/ and models/, folder by folder, for share/vgil_ros."""
    folders: dict[str, list[str]] = {}
    for top in ("launch", "config", "models"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(ROOT)
                folders.setdefault(f"share/{NAME}/{relative.parent}", []).append(str(relative))
    return list(folders.items())


setup(
    name=NAME,
    version="0.1.0",
    description="Record teleoperation, train, and run visuomotor policies on ROS 2 robots.",
    license="Apache-2.0",
    author="vgil_ros developers",
    maintainer="vgil_ros developers",
    maintainer_email="vgil-ros@example.org",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared_files(),
    ],
    install_requires=[
        "setuptools",
        "numpy>=1.21",
        "pydantic>=2.5",
        "PyYAML>=5.4",
        "dm-env>=1.6",
        "h5py>=3.6",
        "opencv-python-headless>=4.5",
        "typer>=0.12.5",
        "rich>=12",
        "tqdm>=4.60",
    ],
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "vgil = vgil_ros.cli.main:main",
            "recorder = vgil_ros.nodes.recorder:main",
            "policy = vgil_ros.nodes.policy:main",
            "teleop = vgil_ros.nodes.teleop:main",
            "sim = vgil_ros.nodes.sim:main",
            "replay = vgil_ros.nodes.replay:main",
            "monitor = vgil_ros.nodes.monitor:main",
        ]
    },
)
