"""Two robots on one ROS domain, each in a namespace: what is called or heard of one never reaches the other.

The handing over from teleop to policy is here too, as both are up.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("torch")
pytest.importorskip("mujoco")

from support import checkpoints
from support.nodes.bench import ros_arguments
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench
from support.process import Process

from vgil_ros.assets import contract_path

NODES = {
    "sim": {"camera_rate": 10.0},
    "teleop": {},
    "recorder": {"keys": False, "min_free_gb": 0.01, "reset_service": "sim/reset", "success_topic": "sim/success"},
    "policy": {},
}
SERVICES = {
    "recorder": ("start", "stop", "discard", "redo"),
    "policy": ("start", "stop", "reset", "estop"),
    "teleop": ("start", "stop"),
    "sim": ("reset",),
}


class TwoBench(PolicyBench):
    """A bench with two simulated robots, r1 and r2."""

    loaded = (*PolicyBench.loaded, "vgil_ros.nodes.teleop", "vgil_ros.nodes.recorder")

    def up(self) -> None:
        """Start every node of both."""
        self.processes: list[Process] = []
        contract = yaml.safe_load(contract_path("sim_single").read_text())
        contract["cameras"] = [{**contract["cameras"][0], "height": 48, "width": 64}]
        contract["sync"] |= {"tolerance_ms": 100, "max_wait_ms": 200, "max_hold": 100}
        text = yaml.safe_dump(contract).replace("topic: /", "topic: ")
        (self.folder / "robot.yaml").write_text(text)
        checkpoints.make(self.folder / "robot.yaml", self.folder / "checkpoint")
        for space in ("r1", "r2"):
            for name, given in NODES.items():
                self.up_one(space, name, given)

    def up_one(self, space: str, name: str, given: dict[str, Any]) -> Process:
        """Start one node in a namespace."""
        parameters = {"robot": self.folder / "robot.yaml", **given}
        parameters |= {"dataset_dir": self.folder / space} if name == "recorder" else {}
        parameters |= {"checkpoint": self.folder / "checkpoint"} if name == "policy" else {}
        arguments = [f"vgil_ros.nodes.{name}", *ros_arguments(parameters), "-r", f"__ns:=/{space}"]
        options = {"stdin": subprocess.DEVNULL} if name == "sim" else {}  # OpenGL does not survive a fork
        process = self.start(Process, arguments, **options)
        self.processes.append(process)
        return process

    @property
    def said(self) -> str:
        """What all nodes have said."""
        return "\n".join(process.output for process in self.processes)

    def takes(self, service: str) -> None:
        """Call a service until it is taken."""
        answers: list[str] = []

        def taken() -> bool:
            answer = self.client.call(service)
            answers.append(answer.message)
            return bool(answer.success)

        try:
            until(taken, service, timeout=45.0)
        except AssertionError as error:
            raise AssertionError(f"{service}: {answers[-1]}\n{self.said}") from error


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[TwoBench]:
    with TwoBench(tmp_path) as made:
        yield made


def test_neither_robot_hears_what_is_said_to_the_other(bench: TwoBench) -> None:
    bench.up()
    statuses = {
        (space, name): bench.client.status(f"/{space}/{name}/status")
        for space in ("r1", "r2")
        for name in ("recorder", "policy")
    }

    def state(space: str, name: str) -> str:
        found = statuses[space, name]
        return next((pair.value for pair in found[-1][1].values if pair.key == "state"), "") if found else ""

    until(lambda: all(state(*key) == "idle" for key in statuses), "all nodes are up")
    assert statuses["r1", "recorder"][-1][1].name == "r1/recorder"
    wanted = {f"/{space}/{node}/{name}" for space in ("r1", "r2") for node, names in SERVICES.items() for name in names}

    def offered() -> set[str]:
        found = {name for name, _ in bench.client.node.get_service_names_and_types()}
        return {name for name in found if name.rsplit("/", 1)[-1] in {n for names in SERVICES.values() for n in names}}

    until(lambda: offered() == wanted, "the services of both, and no others")
    bench.takes("/r1/recorder/start")
    until(lambda: state("r1", "recorder") == "recording", "recording")
    assert state("r2", "recorder") == "idle"
    until(lambda: int(figure(statuses["r1", "recorder"], "rows")) > 5, "rows")
    assert bench.client.call("/r1/recorder/stop").success
    until(lambda: (bench.folder / "r1" / "episode_0.hdf5").is_file(), "its file")
    assert not (bench.folder / "r2").exists()

    refused = bench.client.call("/r1/policy/start")
    assert "commands on /r1/puppet/command come from node /r1/teleop too; only one may command" in refused.message
    assert bench.client.call("/r1/teleop/stop").success
    bench.takes("/r1/policy/start")
    until(lambda: state("r1", "policy") in ("running", "holding"), "the first robot's policy runs")
    assert state("r2", "policy") == "idle"
    until(lambda: "/r1/policy too" in bench.client.call("/r1/teleop/start").message, "teleop is refused in its turn")
    assert bench.client.call("/r1/policy/stop").success
    bench.takes("/r1/teleop/start")


def figure(status: list[tuple[float, Any]], key: str) -> str:
    """A value of the last status."""
    return next(pair.value for pair in status[-1][1].values if pair.key == key)
