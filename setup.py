"""Package metadata, for colcon (ament_python) and pip alike.

It stays here rather than in pyproject.toml because Humble's setuptools (59) does not read a
[project] table.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
MANIFEST = ET.parse(ROOT / "package.xml").getroot()  # the one place of version, description, licence and maintainer


def stated(tag: str) -> str:
    """The text of an element of package.xml."""
    return MANIFEST.findtext(tag, "").strip()


NAME = stated("name")

ROS_PACKAGES = (
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

EXTRAS = {
    "ros": [f"ros-{name}" for name in ROS_PACKAGES],  # the newest on PyPI; only where no ROS 2 is installed
    "ros-jazzy": [f"ros-jazzy-{name}" for name in ROS_PACKAGES],  # in its place, never beside it
    "sim": ["mujoco>=3.3"],
    "gym": ["gymnasium>=1.0", "gym-aloha>=0.1.1"],  # which keeps mujoco below 3.9; [sim] lives with that
    "plot": ["matplotlib>=3.5", "av>=12"],
    "policy": ["torch>=2.4", "torchvision", "safetensors>=0.4"],
    "diffusion": ["diffusers>=0.27"],  # policies of type diffusion
    "vla": ["transformers>=4.57", "tokenizers>=0.22"],  # policies of type smolvla
    "train": ["accelerate>=0.30", "tensorboard"],  # several processes or GPUs; curves beside the log
    "feetech": ["pyserial>=3.5"],  # SO-100 and SO-101 without ROS drivers
    "remote": ["websockets>=15", "msgpack>=1.0.5"],  # policies that run elsewhere, and `vgil serve`
    "data": [  # data sets in the layouts of LeRobot and zarr, raw logs and bags; zarr 3 needs Python 3.11
        *("pyarrow>=14", "av>=12", "mcap>=1.2", "zstandard>=0.20"),
        "zarr>=3; python_version>='3.11'",
    ],
    "web": ["nicegui>=3", "fastapi", "uvicorn"],  # the operator's page
    "ray": ["ray>=2.9"],  # work over episodes on many machines
    "docs": ["mkdocs>=1.6", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"],
}
EXTRAS["demo"] = EXTRAS["ros"] + EXTRAS["sim"] + EXTRAS["plot"]
EXTRAS["dev"] = [
    "pytest>=8",
    "pytest-timeout",
    "pytest-xdist",
    "rosbags>=0.10",  # writes bags as others do
    "pytest-cov>=7",
    "coverage>=7.10",  # patch = subprocess
    "hypothesis",
    "gymnasium>=1.0",  # and an environment of the tests' own
    "ruff",
    "mypy",
    "types-PyYAML",
    "types-pyserial",
    "psutil",
    "playwright>=1.45",  # drives the browser that the page's tests look with
]
CLASSIFIERS = [
    "Development Status :: 4 - Beta",
    "Intended Audience :: Science/Research",
    "Operating System :: POSIX :: Linux",
    *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
    "Typing :: Typed",
]


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
    version=stated("version"),
    description=stated("description"),
    license=stated("license"),
    author=stated("maintainer"),
    maintainer=stated("maintainer"),
    maintainer_email=MANIFEST.find("maintainer").attrib["email"],
    python_requires=">=3.10",
    classifiers=CLASSIFIERS,
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "web/parts/*.js"]},
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
            "recorder = vgil_ros.nodes.entry:recorder",
            "policy = vgil_ros.nodes.entry:policy",
            "teleop = vgil_ros.nodes.entry:teleop",
            "sim = vgil_ros.nodes.entry:sim",
            "replay = vgil_ros.nodes.entry:replay",
            "monitor = vgil_ros.nodes.entry:monitor",
            "web = vgil_ros.nodes.entry:web",
            "jog = vgil_ros.nodes.entry:jog",
            "posture = vgil_ros.nodes.entry:posture",
            "webcam = vgil_ros.nodes.entry:webcam",
            "feetech = vgil_ros.nodes.entry:feetech",
            "bringup = vgil_ros.nodes.entry:bringup",
        ]
    },
)
