"""Small robots: light enough for two busy cores."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

HEIGHT, WIDTH = 48, 64

ARM: dict[str, Any] = {
    "name": "left",
    "puppet": {"topic": "/puppet/joint_states"},
    "master": {"topic": "/master/joint_states"},
    "command": {"topic": "/puppet/command", "type": "joint_state"},
    "joints": ["waist", "elbow", "grip"],
    "limits": {"lower": [-2.0, -1.0, 0.0], "upper": [2.0, 1.0, 0.1], "velocity": [2.0, 2.0, 0.2]},
    "home": [0.0, 0.0, 0.1],
    "gripper": {"joint": "grip", "puppet_range": [0.02, 0.1], "master_range": [0.0, 0.5]},
}


def camera(name: str, kind: str = "image", **changes: Any) -> dict[str, Any]:
    """A camera of 48x64 pixels."""
    suffix = "compressed" if kind == "compressed" else "image_raw"
    return {
        "name": name,
        "topic": f"/{name}/{suffix}",
        "type": kind,
        "height": HEIGHT,
        "width": WIDTH,
        **changes,
    }


def sync(max_hold: int) -> dict[str, Any]:
    """How small robots synchronise; streams that are silent for so many ticks end an episode."""
    return {"method": "clock", "tolerance_ms": 40, "max_wait_ms": 120, "on_miss": "hold", "max_hold": max_hold}


def arm_on_shared_topics(name: str, **changes: Any) -> dict[str, Any]:
    """An arm whose states, and its master's, come on topics that other arms' come on too, by names of its own."""
    made = copy.deepcopy(ARM) | {"name": name}
    made["puppet"] = {"topic": "/joint_states", "joints": [f"{name}_{joint}" for joint in ARM["joints"]]}
    made["master"] = {"topic": "/masters/joint_states", "joints": [f"{name}_m_{joint}" for joint in ARM["joints"]]}
    made["command"] = {"topic": f"/{name}/command", "type": "joint_state"}
    return made | changes


def small_robot(**changes: Any) -> dict[str, Any]:
    """One arm of three joints with a master, one camera, 25 Hz; `changes` replace top keys.

    It is patient (two seconds): that a busy machine kept the fake robot waiting ends no episode. Nobody watches whether
    its arms follow, as a fake robot's do not; `following={}` does.
    """
    robot: dict[str, Any] = {
        "name": "small",
        "rate_hz": 25,
        "arms": [copy.deepcopy(ARM)],
        "cameras": [camera("cam_a")],
        "sync": sync(max_hold=50),
    }
    robot |= changes
    return {"following": {"off": [arm["name"] for arm in robot["arms"]]}, **robot}


def write(robot: dict[str, Any], path: Path) -> Path:
    """Write a contract's YAML."""
    path.write_text(yaml.safe_dump(robot, sort_keys=False), encoding="utf-8")
    return path
