"""What a recorder's raw logs say of their episodes, without a node."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mcap")

from mcap.reader import make_reader
from support.contracts import small_robot, write

from vgil_ros.assets import load_contract
from vgil_ros.core.messages.intake import intakes_of
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Synchronizer
from vgil_ros.episodes.raw_log import events
from vgil_ros.episodes.writing.sink import Recording
from vgil_ros.nodes.session.raw_log import RecorderLog


def said(log: Path) -> dict[str, Any]:
    """Task and words that stand in a raw log."""
    with log.open("rb") as file:
        (found,) = [one.metadata for one in make_reader(file).iter_metadata() if one.name == events.METADATA]
    return {"task": found["task"], **json.loads(found["words"])}


def test_each_log_has_the_task_and_the_operator_of_its_episode(tmp_path: Path) -> None:
    contract, text = load_contract(str(write(small_robot(), tmp_path / "robot.yaml")))
    streams = streams_of(contract)
    sync = Synchronizer(streams, contract.sync, contract.rate_hz)
    recording = Recording(contract, text, streams, tmp_path, task="pick the cube", words={"operator": "Ann"})
    sink: Any = SimpleNamespace(recording=recording, part=None)
    node: Any = SimpleNamespace(simulated=False, resolve_topic_name=str, now_ns=lambda: 0)
    inputs: Any = SimpleNamespace(intakes=intakes_of(contract, sync), tap=None)
    log = RecorderLog(node, inputs, sync, sink, wanted=True)
    tick: Any = SimpleNamespace(tick=0, stamp_ns=0)
    found = []
    for number, (task, operator) in enumerate([("pick the cube", "Ann"), ("stack the cups", "Bob")]):
        sink.recording = replace(recording, task=task, words={"operator": operator})
        log.began(0)
        sink.part = tmp_path / f"episode_{number}.hdf5.part"
        log.tick(0, tick)
        file = log.end()
        assert file is not None
        file.close(tmp_path / f"episode_{number}.mcap")
        found.append(said(tmp_path / f"episode_{number}.mcap"))
    assert found == [
        {"task": "pick the cube", "operator": "Ann"},
        {"task": "stack the cups", "operator": "Bob"},
    ]
