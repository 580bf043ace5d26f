"""Streams as subscriptions, without DDS: a node that takes what is subscribed to, and a clock that is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from support import contracts

from vgil_ros.assets import load_contract
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Sample, Synchronizer
from vgil_ros.nodes.messages.subscriptions import FLOOD_HZ, StreamInputs

MS = 1_000_000
START = 10**18


@dataclass
class Ear:
    """A node as `StreamInputs` knows it."""

    now: int = START
    heard: dict[str, Callable[[bytes], None]] = field(default_factory=dict)
    lasting: dict[str, str] = field(default_factory=dict)

    def now_ns(self) -> int:
        return self.now

    def create_subscription(
        self, kind: Any, topic: str, callback: Callable[[bytes], None], qos: Any, raw: bool
    ) -> None:
        self.heard[topic] = callback

    def resolve_topic_name(self, topic: str) -> str:
        return topic

    def warn_once(self, key: str, message: str) -> None:
        self.lasting[key] = message

    def clear(self, key: str) -> None:
        self.lasting.pop(key, None)


def joints(names: list[str], stamp_ns: int) -> bytes:
    """Every joint at 0.2 rad/s from 0 on, a gripper's finger in between."""
    message = JointState(name=names, position=[0.2 * (stamp_ns - START) / 1e9] * 2 + [0.05])
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    return bytes(serialize_message(message))


@pytest.mark.parametrize(("hz", "shown"), [(100, 100), (1000, 1000), (5000, 5000)])
def test_a_flood_is_named_with_its_rate_and_every_tick_is_served_in_its_time(
    tmp_path: Path, hz: int, shown: int
) -> None:
    contract, _ = load_contract(str(contracts.write(contracts.small_robot(cameras=[]), tmp_path / "robot.yaml")))
    ear, arm = Ear(), contract.arms[0]
    sync = Synchronizer(streams_of(contract), contract.sync, contract.rate_hz)
    inputs = StreamInputs(ear, contract, sync)  # type: ignore[arg-type]
    names, ticks, place = list(arm.joints), 0, [spec.name for spec in sync.streams].index("left/puppet")
    assert arm.master is not None
    for now in range(START, START + 1500 * MS, 10**9 // hz):
        ear.now = now
        ear.heard[arm.puppet.topic](joints(names, now - MS))
        if (now - START) % (10 * MS) < 10**9 // hz:
            ear.heard[arm.master.topic](joints(names, now - MS))
        if now == START + 200 * MS:
            sync.start(now)
        while now > START + 200 * MS and (found := sync.sample(now)) is not None:
            assert isinstance(found, Sample)
            assert now - found.stamp_ns <= 25 * MS, "as soon as both streams have passed the tick"
            qpos = found.payloads[place][0]
            assert qpos[0] == pytest.approx(0.2 * (found.stamp_ns - START) / 1e9, abs=1e-9)
            ticks += 1
    assert ticks == pytest.approx(1.3 * contract.rate_hz, abs=3)
    assert inputs.rate("left/puppet", ear.now) == pytest.approx(shown, rel=0.02)
    floods = inputs.floods(ear.now)
    assert set(floods) == ({"left/puppet"} if hz > FLOOD_HZ else set())
    if floods:
        assert "left/puppet: 5" in floods["left/puppet"]
        assert f"messages a second on {arm.puppet.topic}" in floods["left/puppet"]
        assert "allowed: up to 1500" in floods["left/puppet"]
    ear.now += 2_000 * MS
    assert not inputs.floods(ear.now), "it is over"
    assert np.isclose(inputs.rate("left/puppet", ear.now), 0.0)
    assert not ear.lasting
