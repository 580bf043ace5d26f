"""docs/reference/contract.md says what is so: its example parses, its errors are real, every key is there."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from vgil_ros.core.contract import Contract, Sync, parse_contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.frame import Frame, FrameError
from vgil_ros.core.guard.reading_guard import guards_of
from vgil_ros.core.layout import JointError, JointReader

DOC = (Path(__file__).parents[2] / "docs" / "reference" / "contract.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```yaml\n(.*?)```", DOC, re.DOTALL).group(1)  # type: ignore[union-attr]
SHOWN = [line for line in DOC.splitlines() if line.startswith("my_arm.yaml: ")]
EDITS = [
    ("    joints:", "    jionts:"),
    ("home: [0.0, 0.5, 0.0, 0.08]", "home: [0.0, 0.5, 0.0]"),
    ("home: [0.0, 0.5,", "home: [0.0, 2.5,"),
    ("type: joint_state}", "type: joint_states}"),
    ("height: 480", "height: 480p"),
    ("/cam_wrist/image_raw/compressed", "/cam_high/image_raw"),
    ("method: clock", "method: camera:top"),
]


def test_the_example_is_a_contract() -> None:
    contract = parse_contract(EXAMPLE, "my_arm.yaml")
    assert contract.name == "my_arm"
    assert contract.base is not None


def test_the_errors_shown_are_what_is_said() -> None:
    said: set[str] = set()
    for found, wrong in EDITS:
        assert found in EXAMPLE
        with pytest.raises(ContractError) as error:
            parse_contract(EXAMPLE.replace(found, wrong, 1), "my_arm.yaml")
        said |= set(str(error.value).splitlines())
    assert set(SHOWN) == said


def test_the_running_robots_errors_are_what_is_said() -> None:
    with pytest.raises(JointError) as joint:
        JointReader("left/puppet", ("shoulder", "elbow", "wrist", "gripper")).read(
            ["shoulder", "elbow", "wrist", "finger"], [0.0] * 4
        )
    with pytest.raises(FrameError) as image:
        Frame(720, 1280, "rgb8", 3840, memoryview(b"")).check(480, 640, ("rgb8",))
    guards = guards_of(parse_contract(EXAMPLE, "my_arm.yaml"))
    degrees = guards["left/puppet"].judge(1, 1, np.array([0.0, -49.0, 0.0, 0.0]))
    lost = guards["left/master"].judge(1, 1, np.full(4, -np.pi))
    assert f"left/puppet: {degrees}" in DOC
    assert f"left/master: {lost}" in DOC
    assert str(joint.value) in DOC
    assert f"cam_high: {image.value}" in DOC


def keys_of(model: type[BaseModel]) -> set[str]:
    """Every key of a model and of the models in it."""
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(name)
        for inner in models_in(field.annotation):
            keys |= keys_of(inner)
    return keys


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in typing.get_args(annotation) for found in models_in(inner)]


def test_every_key_is_there() -> None:
    written = {word for code in re.findall(r"`([^`\n]+)`", DOC) for word in re.split(r"[.\[\], ]+", code)}
    assert keys_of(Contract) <= written


def test_the_defaults_are_right() -> None:
    for key, field in Sync.model_fields.items():
        row = [line for line in DOC.splitlines() if line.startswith(f"| `{key}` |")][-1]  # a camera's comes first
        value = row.rstrip(" |").rsplit("|", 1)[1].strip().strip("`")
        assert value == (f"{field.default:g}" if isinstance(field.default, (int, float)) else field.default)
