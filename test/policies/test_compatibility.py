"""A checkpoint held against a robot: every mismatch in words, and none where all fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vgil_ros.policies import Normalization, Normalizer
from vgil_ros.policies.act import ActConfig, ActPolicy
from vgil_ros.policies.compatibility import RobotProfile, compare_with_contract, compare_with_limits, unchecked_fields

JOINTS = ("left/waist", "left/elbow", "left/gripper")
ROBOT = RobotProfile(
    name="aloha",
    cameras={"cam_high": (480, 640), "cam_low": (480, 640)},
    joint_names=JOINTS,
    state_dim=3,
    action_dim=3,
    action_dim_with_base=5,
    rate_hz=50.0,
)


def config(**changes: Any) -> ActConfig:
    values: dict[str, Any] = {
        "state_dim": 3,
        "action_dim": 3,
        "chunk_size": 4,
        "hidden_dim": 16,
        "heads": 2,
        "feedforward_dim": 16,
        "encoder_layers": 1,
        "cvae_layers": 0,
        "backbone": "mobilenet_v3_small",
        "cameras": [{"name": "cam_high", "height": 480, "width": 640}],
        "joint_names": JOINTS,
        "rate_hz": 50,
    }
    return ActConfig.model_validate({**values, **changes})


@pytest.mark.parametrize("changes", [{}, {"action_dim": 5}, {"rate_hz": 49.9}, {"rate_hz": None}, {"joint_names": []}])
def test_what_fits_gives_no_words(changes: dict[str, Any]) -> None:
    assert compare_with_contract(config(**changes), ROBOT) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cameras": [{"name": "top"}]}, ["camera top: not on robot aloha, which has ['cam_high', 'cam_low']"]),
        (
            {"cameras": [{"name": "cam_low", "height": 240, "width": 320}]},
            ["camera cam_low: the policy takes 240x320 images, robot aloha gives 480x640"],
        ),
        (
            {"joint_names": ("left/elbow", "left/waist", "left/gripper")},
            ["joints: same names, other order: at place 0 the policy has left/elbow, robot aloha has left/waist"],
        ),
        (
            {"joint_names": ("left/waist", "left/wrist", "left/gripper")},
            ["joints: robot aloha lacks left/wrist", "joints: the policy does not know left/elbow"],
        ),
        ({"action_dim": 4}, ["action: the policy gives 4 values, robot aloha takes 3 without base or 5 with base"]),
        ({"rate_hz": 30}, ["rate: the policy was trained at 30 Hz, robot aloha runs at 50 Hz"]),
        ({"state_dim": 4, "joint_names": ()}, ["qpos: the policy takes 4 values, robot aloha has 3"]),
    ],
)
def test_every_mismatch_is_said(changes: dict[str, Any], words: list[str]) -> None:
    assert compare_with_contract(config(**changes), ROBOT) == words


def test_a_vector_that_means_something_else_is_said() -> None:
    felt = replace(ROBOT, vectors={"wrench": 6}, meanings={"wrench": "wrench"})
    same = {"name": "wrench", "size": 6, "meaning": "wrench"}
    assert compare_with_contract(config(state_dim=9, vectors=[same]), felt) == []
    assert compare_with_contract(config(state_dim=9, vectors=[{"name": "wrench", "size": 6}]), felt) == []
    assert compare_with_contract(config(state_dim=9, vectors=[{**same, "meaning": "twist"}]), felt) == [
        "vector wrench: the policy takes type twist, robot aloha gives wrench"
    ]
    assert unchecked_fields(config(state_dim=9, vectors=[same])) == []
    assert unchecked_fields(config(state_dim=9, vectors=[{"name": "wrench", "size": 6}])) == [
        "what vector wrench holds"
    ]


def test_a_robot_without_a_base_takes_no_base() -> None:
    found = compare_with_contract(config(action_dim=5), replace(ROBOT, action_dim_with_base=None))
    assert found == ["action: the policy gives 5 values, robot aloha takes 3 without base"]


def test_what_is_not_known_is_said() -> None:
    assert unchecked_fields(config()) == []
    blank = config(cameras=[{"name": "cam_high"}], joint_names=(), rate_hz=None)
    assert unchecked_fields(blank) == ["size of camera cam_high", "joint names and their order", "rate"]


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "unit", "identity"])
def test_degrees_for_radians_are_noticed(mode: str) -> None:
    spec = Normalization.model_validate({"qpos": {"mode": mode}, "action": {"mode": mode}})
    policy = ActPolicy(config(normalization=spec))
    lower, upper = np.full(3, -1.5), np.full(3, 1.5)
    data = np.random.default_rng(0).uniform(-1, 1, (100, 3))
    policy.set_normalizer(Normalizer.fit(spec, data, data, 1))
    assert compare_with_limits(policy, lower, upper, JOINTS) == []
    wrong = data.copy()
    wrong[:, 1] = np.degrees(data[:, 1])
    for qpos, action, parts in ((wrong, data, ["qpos"]), (data, wrong, ["action"]), (wrong, wrong, ["qpos", "action"])):
        policy.set_normalizer(Normalizer.fit(spec, qpos, action, 1))
        found = compare_with_limits(policy, lower, upper, JOINTS)
        expected = [] if mode == "identity" else [f"{part} of joint left/elbow: trained" for part in parts]
        assert [word[: len(start)] for word, start in zip(found, expected, strict=True)] == expected
        assert not any(" rad" in word for word in found), "a gripper's limits are shares"


def test_values_without_limits_are_left_alone_and_a_narrower_policy_is_no_matter_of_limits() -> None:
    policy = ActPolicy(config())
    data = np.random.default_rng(0).uniform(-1, 1, (100, 3)) * [1, 60, 60]
    policy.set_normalizer(Normalizer.fit(policy.config.normalization, data, data, 1))
    limits = np.full(2, 1.5)
    found = compare_with_limits(policy, -limits, limits, JOINTS[:2])
    assert [word.split(":")[0] for word in found] == ["qpos of joint left/elbow", "action of joint left/elbow"]
    limits = np.full(4, 1.5)
    assert compare_with_limits(policy, -limits, limits, (*JOINTS, "left/more")) == []
