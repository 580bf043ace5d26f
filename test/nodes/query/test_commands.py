"""`vgil call`, `status`, `topics` and `doctor` beside real nodes: what an operator without ros2cli types."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from support.nodes.bench import Bench
from support.nodes.rig import Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A recorder beside its robot."""
    with Bench(tmp_path_factory.mktemp("commands")) as bench:
        yield Rig(bench, bench.contract())


def vgil(rig: Rig, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, on the rig's domain."""
    command = [sys.executable, "-m", "vgil_ros.cli.main", *map(str, arguments)]
    environment = {**rig.bench.environment, "COLUMNS": "300"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def report(rig: Rig, *arguments: object) -> tuple[Any, subprocess.CompletedProcess[str]]:
    """Run it with --json; what it wrote."""
    path = rig.bench.folder / "report.json"
    done = vgil(rig, *arguments, "--json", path)
    assert path.is_file(), done.stderr
    return json.loads(path.read_text()), done


def test_a_session_is_worked_by_calls_and_seen_by_status(rig: Rig) -> None:
    for _ in range(3):  # that a busy machine kept the robot waiting is a reason to refuse
        rig.ready()
        done = vgil(rig, "call", "start")
        if ": silent, " not in done.stdout:
            break
    assert done.returncode == 0, done.stderr
    assert "/recorder/start: starting episode 1" in done.stdout
    refused = vgil(rig, "call", "start", "--node", "recorder")
    assert refused.returncode == 1
    assert "not started: the session is" in refused.stdout
    (row,), shown = report(rig, "status", "recorder")
    assert (row["node"], row["values"]["state"]) == ("/recorder", "recording"), row
    assert "episodes done" not in row["values"], "a key of the release before"
    assert "rate_hz_cam_a" in shown.stdout
    assert vgil(rig, "call", "discard").returncode == 0


def test_what_is_not_there_is_named_with_what_is(rig: Rig) -> None:
    done = vgil(rig, "call", "estop", "--timeout", "5")
    assert done.returncode == 2
    assert "nobody offers /policy/estop: waited 5 s" in done.stderr
    assert f"nodes on domain {rig.bench.domain}: " in done.stderr
    assert "/recorder" in done.stderr
    done = vgil(rig, "call", "start", "--namespace", "r2", "--timeout", "1")
    assert "nobody offers /r2/recorder/start or /r2/policy/start or /r2/teleop/start" in done.stderr
    done = vgil(rig, "status", "teleop", "--timeout", "1")
    assert (done.returncode, "no node '/teleop' has told its status" in done.stderr) == (2, True)


def test_the_topics_are_held_against_the_contract(rig: Rig) -> None:
    for _ in range(3):  # a busy machine keeps a pretended robot from its rates
        rows, done = report(rig, "topics", "--robot", rig.bench.folder / "small.yaml")
        found = {row["stream"]: row for row in rows}
        if found["cam_a"]["verdict"] == "ok":
            break
    assert list(found) == [*rig.robot_streams, "left/command"]
    camera = found["cam_a"]
    assert (camera["verdict"], camera["bad"], camera["publishers"]) == ("ok", False, ["/fake_robot"]), camera
    assert (camera["content"], camera["type"]) == ("48x64 rgb8", "sensor_msgs/msg/Image")
    assert found["left/puppet"]["content"] == "3 joints"
    assert found["left/command"]["verdict"] == "nobody listens on it: is the robot's driver running?"
    assert done.returncode == 1


def test_a_wrong_topic_size_and_type_are_named_with_what_is_there(rig: Rig, tmp_path: Path) -> None:
    text = (rig.bench.folder / "small.yaml").read_text()
    for old, new in (("/master/joint_states", "/mastre/joint_states"), ("height: 48", "height: 50")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "wrong.yaml").write_text(text)
    rows, done = report(rig, "topics", "--robot", tmp_path / "wrong.yaml")
    found = {row["stream"]: row["verdict"] for row in rows}
    assert done.returncode == 1
    assert "no publisher" in found["left/master"]
    assert "did you mean /master/joint_states?" in found["left/master"]
    assert "image is 48x64; the contract says 50x64" in found["cam_a"]
    assert found["left/puppet"] == "ok"


def test_the_doctor_names_who_is_on_the_domain(rig: Rig) -> None:
    for _ in range(3):  # a busy machine finds its peers late, one by one
        rows, done = report(rig, "doctor")
        assert done.returncode == 0, done.stdout
        found = {row["topic"]: row for row in rows}
        assert found["nodes"]["level"] == "ok"
        if "/recorder" in found["nodes"]["words"]:
            break
    assert "/recorder" in found["nodes"]["words"]
    assert all(row["remedy"] for row in rows if row["level"] != "ok")
