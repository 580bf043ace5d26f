"""Further vectors: what a contract may say of them, how they come to a tick, and where they stand in an observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contracts import small_robot

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.history import with_past
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import Flag, Kind, policy_streams, readers_of, shared_topics, streams_of
from vgil_ros.core.sync import Sample, Synchronizer
from vgil_ros.core.sync.resample import blend
from vgil_ros.core.timesteps import ObservationBuilder, observation_spec

WRENCH = {"name": "wrench_left", "topic": "/left/wrench", "type": "wrench"}
POSE = {"name": "tcp", "topic": "/left/tcp", "type": "pose", "interpolate": True}


def parsed(*vectors: dict[str, Any], **changes: Any) -> Contract:
    return validate(Contract, small_robot(vectors=list(vectors), **changes), "felt.yaml", ContractError)


def test_they_are_streams_after_the_cameras() -> None:
    contract = parsed({**WRENCH, "latency_ms": 4, "tolerance_ms": 7, "interpolate": False}, POSE)
    specs = streams_of(contract)
    assert [s.name for s in specs] == ["left/puppet", "left/master", "cam_a", "wrench_left", "tcp"]
    wrench, tcp = specs[3:]
    assert (wrench.kind, wrench.nearest) == (Kind.VECTOR, True)
    assert (wrench.latency_ns, wrench.tolerance_ns) == (4_000_000, 7_000_000)
    assert (tcp.quaternions, tcp.nearest) == ((3,), False)
    assert [s.name for s in policy_streams(contract, (), ("tcp",))] == ["left/puppet", "tcp"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "qpos"}, "name is 'qpos', which an episode has for its own"),
        ({"name": "cam_a"}, "cameras and vectors: ['cam_a'] stands there more than once"),
        ({"size": 3}, "size is 3; allowed: 6, as type 'wrench' has here"),
        ({"type": "float32_multi_array", "stamp": "arrival"}, "size is missing; type 'float32_multi_array' may"),
        ({"type": "float64_multi_array", "size": 4}, "whose messages have none; allowed: arrival"),
        ({"type": "joint_state"}, "joints is missing and type is 'joint_state'"),
        ({"joints": ["a"]}, "joints are given and type is 'wrench'"),
        ({"topic": "/cam_a/image_raw"}, "vectors[0].topic is '/cam_a/image_raw', which cameras[0].topic is too"),
        ({"latency_ms": 200}, "vectors[0].latency_ms is 200"),
        ({"type": "force"}, "found 'force'; allowed: 'wrench', 'pose'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError) as error:
        parsed({**WRENCH, **change})
    assert words in str(error.value)


def test_joint_positions_may_come_from_an_arms_own_topic() -> None:
    fingers = {"name": "fingers", "topic": "/puppet/joint_states", "type": "joint_state", "joints": ["f1", "f2"]}
    contract = parsed(fingers)
    assert contract.vectors[0].width == 2
    assert shared_topics(contract) == {"/puppet/joint_states"}, "a message of the fingers alone is no fault of the arm"
    assert readers_of(contract)["/puppet/joint_states"] == 2


QUATERNIONS = st.lists(st.floats(-1, 1), min_size=4, max_size=4).map(np.array).filter(lambda q: np.linalg.norm(q) > 0.1)
QUATERNIONS = QUATERNIONS.map(lambda q: q / np.linalg.norm(q))


@given(first=QUATERNIONS, last=QUATERNIONS, weight=st.floats(0, 1), sign=st.sampled_from([1, -1]))
def test_an_orientation_goes_the_shorter_way_and_stays_one(
    first: np.ndarray, last: np.ndarray, weight: float, sign: int
) -> None:
    start, end = np.r_[1.0, 2.0, 3.0, first], np.r_[2.0, 2.0, 0.0, sign * last]
    found = blend(start, end, weight, (3,))
    assert np.allclose(found[:3], start[:3] + weight * (end[:3] - start[:3]))
    turned = found[3:]
    if abs(first @ last) > 1e-6:  # half a turn has no shorter way
        assert np.isclose(np.linalg.norm(turned), 1.0)
        angle = lambda a, b: 2 * np.arccos(min(abs(float(a @ b)), 1.0))  # noqa: E731
        assert angle(first, turned) <= angle(first, last) + 1e-6
        assert angle(turned, last) <= angle(first, last) + 1e-6
    assert (start[3:] == first).all(), "what was measured is not changed"


def test_an_imu_that_knows_no_orientation_keeps_its_zeros() -> None:
    assert blend(np.zeros(10), np.zeros(10), 0.5, (0,)).tolist() == [0.0] * 10


@given(data=st.data())
def test_a_vector_that_changes_evenly_is_exact_at_every_tick(data: st.DataObject) -> None:
    contract = parsed(WRENCH, cameras=[], sync={"method": "clock", "tolerance_ms": 40, "max_wait_ms": 60})
    specs = tuple(s for s in streams_of(contract) if s.kind is Kind.VECTOR)
    sync = Synchronizer(specs, contract.sync, 50.0)
    slope, at = np.arange(6) + 1.0, 1_000_000_000
    sync.start(at + 30_000_000)
    for _ in range(20):
        at += data.draw(st.integers(1_000_000, 20_000_000))
        sync.push("wrench_left", at, slope * (at / 1e9), now_ns=at)
    while isinstance(tick := sync.sample(at), Sample):
        assert np.allclose(tick.payloads[0], slope * (tick.stamp_ns / 1e9))
        assert tick.flags[0] in (Flag.INTERPOLATED, Flag.EXACT)


def test_an_observation_has_them_by_name_and_its_past_too() -> None:
    contract = parsed(WRENCH, POSE, cameras=[])
    specs = policy_streams(contract, (), ("wrench_left", "tcp"))
    builder = ObservationBuilder(Layout(contract), specs)
    joints = np.zeros((3, 3))
    found = builder.observation((joints, np.arange(6.0), np.arange(7.0)))
    assert list(found["vectors"]) == ["wrench_left", "tcp"]
    assert found["vectors"]["tcp"].tolist() == list(range(7))
    assert observation_spec(Layout(contract))["vectors"]["tcp"].shape == (7,)
    frame: Any = {"qpos": found["qpos"], "images": {}, "vectors": found["vectors"]}
    past = with_past(frame, [None, frame])["past"]
    assert past["vectors"]["wrench_left"].shape == (2, 6)
