"""`vgil doctor`: each check's level and remedy, on made-up computers."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vgil_ros.cli.doctor import commands, computer, network
from vgil_ros.cli.doctor.findings import bad, ok, warn
from vgil_ros.cli.main import app


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have packages seem not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in names else find(name, *rest))


def test_a_missing_package_names_its_extra_and_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "mujoco", "rclpy", "torch")
    found = {one.topic: one for one in computer.extras()}
    assert (found["[sim]"].level, found["[sim]"].remedy) == ("warn", "pip install 'vgil_ros[sim]'")
    assert "mujoco: not installed; needed for the simulated robot" in found["[sim]"].words
    assert "or source a ROS 2 installation" in found["[ros]"].remedy
    assert computer.ros({}).level == "warn"
    assert computer.graphics().remedy == "pip install 'vgil_ros[policy]'"
    assert network.company() == []


@pytest.mark.parametrize(
    ("text", "level"), [("", "warn"), ("7", "ok"), ("102", "warn"), ("233", "bad"), ("-1", "bad"), ("lab", "bad")]
)
def test_the_domain(text: str, level: str) -> None:
    assert network.domain({"ROS_DOMAIN_ID": text}).level == level


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, "warn"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "warn"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "ok"),
        ({"ROS_LOCALHOST_ONLY": "1"}, "ok"),
    ],
)
def test_how_far_nodes_are_heard(environment: dict[str, str], level: str) -> None:
    assert network.reach(environment).level == level


@pytest.mark.parametrize(("free", "level"), [(1 << 30, "ok"), (100 << 20, "warn"), (1 << 20, "warn")])
def test_room_for_the_transport(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, level: str) -> None:
    class Room:
        f_bavail, f_blocks, f_frsize = free, 1 << 30, 1

    monkeypatch.setattr(os, "statvfs", lambda folder: Room)
    (found,) = computer.shared_memory({}, tmp_path)
    assert found.level == level
    assert ("--shm-size=1g" in found.remedy) == (level == "warn")
    (own,) = computer.shared_memory({"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"}, tmp_path)
    assert (own.level, "/mine.xml" in own.words) == ("ok", True)


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = type("Usage", (), {"free": 1 << 30, "total": 1 << 40, "used": 0})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert computer.disk(tmp_path).level == "warn"


@pytest.mark.parametrize(("kept", "level"), [(True, "ok"), (False, "warn"), (None, "warn")])
def test_the_clock(monkeypatch: pytest.MonkeyPatch, kept: bool | None, level: str) -> None:
    monkeypatch.setattr(computer, "clock_synchronised", lambda: kept)
    assert computer.clock().level == level


def test_the_kernel_is_asked_for_the_clock() -> None:
    assert computer.clock_synchronised() in (True, False, None)


@pytest.mark.parametrize(
    ("last", "code"), [(ok("b", "fine"), 0), (warn("b", "so", "do"), 0), (bad("b", "no", "do"), 1)]
)
def test_only_what_is_bad_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: Any, code: int) -> None:
    monkeypatch.setattr(commands, "examine", lambda folder: [ok("a", "fine"), last])
    done = CliRunner().invoke(app, ["doctor", "--json", str(tmp_path / "found.json")])
    assert done.exit_code == code
    assert json.loads((tmp_path / "found.json").read_text())[1] == last.as_dict()
    assert ("-> do" in done.output) == bool(last.remedy)


@pytest.mark.parametrize(
    ("comes_up", "seen", "seconds"),
    [
        ({}, [], 2.0),
        ({1.0: "/client", 2.5: "/recorder"}, ["/client", "/recorder"], 4.5),
        ({float(i): f"/{i}" for i in range(20)}, [f"/{i}" for i in range(10)], 10.0),
    ],
    ids=["nobody", "one by one", "without end"],
)
def test_nodes_that_find_each_other_late_are_waited_for(
    comes_up: dict[float, str], seen: list[str], seconds: float
) -> None:
    now = 0.0

    def sleep(s: float) -> None:
        nonlocal now
        now += s

    found = network.settled(lambda: [name for at, name in comes_up.items() if at < now], lambda: now, sleep)
    assert found[: len(seen)] == seen
    assert now == pytest.approx(seconds, abs=0.25)
