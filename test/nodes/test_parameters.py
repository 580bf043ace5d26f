"""Parameters of the real nodes: as documented, described, read-only while a node runs, refused where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.parameter import Parameter as RosParameter
from rclpy.parameter import parameter_value_to_python
from sensor_msgs.msg import JointState
from support import contracts
from support.nodes.client import until
from support.nodes.made_episode import episode
from support.nodes.policy_rig import PolicyBench, checkpoint_for, robot
from support.nodes.reference import node_parameters
from support.process import Process

from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.parameters import ROS_OWN, Parameter, refuse_unknown

NODES = ("recorder", "policy", "teleop", "replay", "sim", "monitor")
SAID = {"task", "operator", "object", "scene", "note"}  # of the next episode
LIVE = {"sim": {"seed"}, "recorder": SAID, "policy": SAID}  # what a running node takes


class Nodes:
    """All six nodes, of one small robot; the simulator of one that it can simulate."""

    def __init__(self, bench: PolicyBench) -> None:
        self.bench = bench
        contract = contracts.write(robot(), bench.folder / "robot.yaml")
        file = episode(contract, bench.folder / "made", np.zeros((5, 3)), np.zeros((5, 2)))
        parameters: dict[str, dict[str, Any]] = {
            "recorder": {"dataset_dir": bench.episodes, "keys": False},
            "policy": {"checkpoint": checkpoint_for(bench, contract)},
            "replay": {"episode": file},
            "sim": {"robot": "sim_single", "operator": False, "camera_rate": 1.0},
        }
        self.processes = {name: bench.node(name, {"robot": contract, **parameters.get(name, {})}) for name in NODES}

    def call(self, node: str, service: str, kind: type, **request: Any) -> Any:
        return self.bench.client.call(f"/{node}/{service}", kind.Request(**request), kind)  # type: ignore[attr-defined]

    def names(self, node: str) -> list[str]:
        """The node's parameters, without those that rclpy gives every node."""
        found = self.call(node, "list_parameters", ListParameters).result.names
        return sorted(name for name in found if name not in ROS_OWN)

    def descriptors(self, node: str) -> list[ParameterDescriptor]:
        return list(self.call(node, "describe_parameters", DescribeParameters, names=self.names(node)).descriptors)

    def value(self, node: str, name: str) -> Any:
        (value,) = self.call(node, "get_parameters", GetParameters, names=[name]).values
        return parameter_value_to_python(value)

    def set(self, node: str, name: str, value: Any) -> tuple[bool, str]:
        """What `ros2 param set` does, and what it is answered."""
        message = RosParameter(name, value=value).to_parameter_msg()
        (result,) = self.call(node, "set_parameters", SetParameters, parameters=[message]).results
        return result.successful, result.reason


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with PolicyBench(tmp_path_factory.mktemp("parameters")) as bench:
        yield Nodes(bench)


@pytest.mark.parametrize("node", NODES)
def test_a_node_has_the_parameters_that_its_page_lists(nodes: Nodes, node: str) -> None:
    assert set(nodes.names(node)) == node_parameters(node)


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_is_described_and_read_only_unless_it_takes_effect(nodes: Nodes, node: str) -> None:
    for descriptor in nodes.descriptors(node):
        assert descriptor.description, descriptor.name
        assert descriptor.read_only == (descriptor.name not in LIVE.get(node, set())), descriptor.name


@pytest.mark.parametrize(
    ("node", "name", "value"),
    [
        ("policy", "soft_start", 0.05),
        ("policy", "watchdog_ms", 100.0),
        ("recorder", "max_aborted", 7),
        ("teleop", "rate", 50.0),
        ("monitor", "rate", 5.0),
        ("replay", "dry_run", True),
        ("sim", "speed", 2.0),
    ],
)
def test_a_running_node_refuses_what_it_would_ignore(nodes: Nodes, node: str, name: str, value: Any) -> None:
    before = nodes.value(node, name)
    successful, reason = nodes.set(node, name, value)
    assert not successful
    assert "read-only" in reason
    assert nodes.value(node, name) == before != value


def test_the_seed_may_be_set_and_only_to_one(nodes: Nodes) -> None:
    assert nodes.set("sim", "seed", 7) == (True, "")
    assert nodes.bench.client.call("/sim/reset").message == "seed 7"
    assert nodes.value("sim", "seed") == 8
    successful, reason = nodes.set("sim", "seed", -1)
    assert not successful
    assert "out of range" in reason


def test_ranges_are_told_by_the_node(nodes: Nodes) -> None:
    ranges = {d.name: d for d in nodes.descriptors("policy")}
    (soft_start,) = ranges["soft_start"].floating_point_range
    assert (soft_start.from_value, soft_start.to_value) == (0.001, 1.0)
    (episodes,) = ranges["num_episodes"].integer_range
    assert episodes.from_value == 0
    assert (
        ranges["execution"].additional_constraints
        == "one of: checkpoint, temporal_ensemble, open_loop, async, consistent, rtc"
    )


WRONG = [
    ("teleop", {"rate": 5000.0}, r"parameter 'rate' is 5000\.0; allowed: a number, 1 to 1000$"),
    ("teleop", {"rate": "fast"}, "parameter 'rate' is 'fast'; allowed: a number, 1 to 1000$"),
    ("teleop", {"raet": 50.0}, r"parameter \['raet'\] is unknown to the node 'teleop'; allowed: \[.*'rate'"),
    ("monitor", {"robot": 5}, "parameter 'robot' is 5; allowed: a text$"),
    ("policy", {"soft_start": 50.0}, r"parameter 'soft_start' is 50\.0; allowed: a number, 0\.001 to 1$"),
    ("policy", {"sofT_start": 0.1}, r"parameter \['sofT_start'\] is unknown to the node 'policy'"),
    (
        "policy",
        {"execution": "rct"},
        "parameter 'execution' is 'rct'; allowed: checkpoint, temporal_ensemble, open_loop, async, consistent, rtc",
    ),
    ("policy", {"execution": "open_loop", "ensemble_coefficient": 0.5}, "open_loop: unknown option coefficient"),
]


@pytest.mark.parametrize(("node", "wrong", "words"), WRONG, ids=[f"{n}-{'-'.join(w)}" for n, w, _ in WRONG])
def test_a_wrong_parameter_ends_the_start(tmp_path: Path, node: str, wrong: dict[str, Any], words: str) -> None:
    with PolicyBench(tmp_path) as bench:
        contract = contracts.write(robot(), tmp_path / "robot.yaml")
        usual = {"checkpoint": checkpoint_for(bench, contract), "autostart": True} if node == "policy" else {}
        commands = bench.client.collect(JointState, "/puppet/command")
        process: Process = bench.node(node, {"robot": contract, **usual, **wrong})
        assert process.wait() == 2, process.output
        process.expect(f"^error: .*{words}")
        assert "Traceback" not in process.output
        assert commands == []


def test_old_spellings_are_taken_with_a_warning(tmp_path: Path) -> None:
    with PolicyBench(tmp_path) as bench:
        contract = contracts.write(robot(), tmp_path / "robot.yaml")
        checkpoint = checkpoint_for(bench, contract, kind="flow_matching")
        old = {"execution": "real_time", "query_every": 3}
        process = bench.node("policy", {"robot": contract, "checkpoint": checkpoint, **old})
        process.expect("parameter 'execution': 'real_time' is called 'rtc' now")
        process.expect("parameter 'query_every' is called 'inference_period' now")
        nodes = Nodes.__new__(Nodes)
        nodes.bench = bench
        until(lambda: nodes.value("policy", "execution") == "rtc", "today's spelling")
        assert nodes.value("policy", "inference_period") == 3
        assert "query_every" not in nodes.names("policy")


KINDS = st.sampled_from([0.5, 3])


@given(KINDS, st.floats(-10, 10), st.floats(-10, 10), st.one_of(st.floats(), st.integers(-20, 20)))
def test_a_number_is_taken_where_it_is_in_its_range(default: float, a: float, b: float, value: float) -> None:
    low, high = sorted((a, b))
    parameter = Parameter("x", default, "", low, high)
    fits = isinstance(value, int) or isinstance(default, float)
    if fits and low <= value <= high:
        taken = parameter.checked(value)
        assert taken == value
        assert type(taken) is type(default)
    else:
        with pytest.raises(VgilError, match=r"^parameter 'x' is .*; allowed: a "):
            parameter.checked(value)


@given(st.sets(st.text("abc", min_size=1), max_size=5), st.sets(st.text("abc", min_size=1), max_size=5))
def test_exactly_the_names_that_are_not_declared_are_refused(given_: set[str], declared: set[str]) -> None:
    unknown = sorted(given_ - declared)
    ros = ["use_sim_time", "qos_overrides./joint_states.publisher.depth"]
    if not unknown:
        refuse_unknown("node", [*given_, *ros], sorted(declared))
        return
    with pytest.raises(VgilError) as error:
        refuse_unknown("node", [*given_, *ros], sorted(declared))
    assert str(error.value).startswith(f"parameter {unknown} is unknown to the node 'node'; allowed: ")
