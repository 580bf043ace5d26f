"""Observations and specs made from contracts."""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np
import pytest

from vgil_ros.assets import load_contract, robot_names
from vgil_ros.core.frame import Frame
from vgil_ros.core.layout import EFFORT, VELOCITY, Layout
from vgil_ros.core.streams import Kind, StreamSpec, streams_of
from vgil_ros.core.timesteps import ObservationBuilder, action_spec, observation_spec, timestep


def build(name: str, *, masters: bool = True) -> tuple[Layout, tuple[StreamSpec, ...], ObservationBuilder]:
    contract, _ = load_contract(name)
    layout, streams = Layout(contract), streams_of(contract, masters=masters)
    return layout, streams, ObservationBuilder(layout, streams)


def payloads(layout: Layout, streams: tuple[StreamSpec, ...], *, measured: bool = True) -> tuple:
    """One payload a stream: puppets at home, masters 0.1 further, cameras a small frame."""
    out: list[Any] = []
    for stream in streams:
        if stream.kind is Kind.JOINTS:
            arm = next(a.arm for a in layout.arms if stream.name.startswith(f"{a.arm.name}/"))
            rest = np.ones if measured else lambda n: np.full(n, np.nan)
            offset = 0.1 if stream.name.endswith("master") else 0.0
            joints = len(arm.joints)
            out.append(np.vstack([np.asarray(arm.home) + offset, rest(joints), rest(joints)]))
        elif stream.kind is Kind.BASE:
            out.append(np.array([0.5, -0.25]))
        else:
            out.append(Frame(1, 1, "rgb8", 3, memoryview(b"abc")))
    return tuple(out)


@pytest.mark.parametrize("name", robot_names())
def test_an_observation_fits_its_spec(name: str) -> None:
    layout, streams, builder = build(name)
    values = payloads(layout, streams)
    found, spec = builder.observation(values), observation_spec(layout)
    assert list(found) == list(spec)
    for key in ("qpos", "qvel", "effort", "base_vel"):
        if key in spec:
            spec[key].validate(found[key])
    assert list(found["images"]) == list(spec["images"]) == list(layout.image_names)
    assert all(frame is values[[s.name for s in streams].index(camera)] for camera, frame in found["images"].items())
    action = builder.action(values)
    assert (action.shape, action.dtype) == ((layout.dim,), np.float32)


def test_what_is_not_measured_is_left_out() -> None:
    layout, streams, builder = build("sim_aloha")
    found = builder.observation(payloads(layout, streams, measured=False))
    assert list(found) == ["qpos", "images"]
    assert list(observation_spec(layout, velocity=False, effort=False)) == ["qpos", "images"]


def test_end_marker() -> None:
    layout, streams, builder = build("vgil_franka")
    values = payloads(layout, streams)
    for marker in (0.0, 1.0):
        assert builder.observation(values, marker)["qpos"][7] == marker
        assert builder.action(values, marker)[7] == marker
    assert builder.observation(values, 1.0)["qvel"][7] == 0.0
    spec = action_spec(layout)
    assert (spec.minimum[7], spec.maximum[7]) == (0.0, 1.0)


def test_base_velocity() -> None:
    layout, streams, builder = build("mobile_aloha")
    found = builder.observation(payloads(layout, streams))["base_vel"]
    assert (found.tolist(), found.dtype) == ([0.5, -0.25], np.float32)
    spec = action_spec(layout)
    assert spec.shape == (16,)
    assert spec.minimum[14:].tolist() == [pytest.approx(-1.6), -1.0]


@pytest.mark.parametrize("name", robot_names())
def test_action_spec_holds_home_and_unit_grippers(name: str) -> None:
    layout = build(name)[0]
    spec = action_spec(layout)
    extra = [0.0] * (spec.shape[0] - layout.joints)
    spec.validate(np.array([*layout.home, *extra], np.float32))
    for arm in layout.arms:
        if arm.gripper_column is not None:
            assert (spec.minimum[arm.gripper_column], spec.maximum[arm.gripper_column]) == (0.0, 1.0)


def test_without_masters_there_is_no_action() -> None:
    layout, streams, builder = build("sim_aloha", masters=False)
    values = payloads(layout, streams)
    assert builder.observation(values)["qpos"].shape == (14,)
    with pytest.raises(ValueError, match="no masters"):
        builder.action(values)


def test_timesteps() -> None:
    first, mid, last = (
        timestep({}, first=f, last=la, reward=2.0) for f, la in ((True, False), (False, False), (False, True))
    )
    assert first == dm_env.TimeStep(dm_env.StepType.FIRST, None, None, {})
    assert mid == dm_env.TimeStep(dm_env.StepType.MID, 2.0, 1.0, {})
    assert last == dm_env.TimeStep(dm_env.StepType.LAST, 2.0, 0.0, {})


def test_a_joint_that_is_not_measured_leaves_the_others_theirs() -> None:
    layout, streams, builder = build("sim_aloha")
    values = payloads(layout, streams)
    values[0][EFFORT, 6] = np.nan  # a gripper's, usually
    values[0][VELOCITY, 1] = np.inf
    found = builder.observation(values)
    assert list(found) == ["qpos", "qvel", "effort", "images"]
    assert np.flatnonzero(np.isnan(found["effort"])).tolist() == [6]
    assert np.flatnonzero(np.isnan(found["qvel"])).tolist() == [1]
    assert np.isfinite(found["qpos"]).all()
