"""Which service a command means, and what a wrong name may have meant."""

from __future__ import annotations

import pytest

from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.service_names import (
    NODES,
    OFFERED_BY,
    SERVING,
    choose_service,
    did_you_mean,
    elsewhere,
    meant_services,
    namespaced,
)
from vgil_ros.nodes import entry

GRAPH = ["/recorder/start", "/teleop/start", "/r2/policy/start", "/r2/policy/estop", "/camera/start"]


@pytest.mark.parametrize("space", ["r2", "/r2", "r2/", "/r2/"])
def test_a_namespace_may_have_slashes(space: str) -> None:
    assert namespaced(space, "policy/start") == "/r2/policy/start"
    assert namespaced("", "policy/start") == "/policy/start"


def test_a_command_means_the_node_that_was_named_or_each_that_has_it() -> None:
    assert meant_services("discard", None, "") == ("/recorder/discard",)
    assert meant_services("start", "teleop", "r2") == ("/r2/teleop/start",)
    assert meant_services("reset", None, "r2") == ("/r2/policy/reset", "/r2/sim/reset")


@pytest.mark.parametrize(
    ("command", "node", "words"),
    [
        ("begin", None, "command 'begin' is unknown; allowed: start, stop, discard"),
        ("estop", "recorder", "--node recorder: it has no service 'estop'; allowed: policy"),
    ],
)
def test_what_there_is_not_is_named_beside_what_there_is(command: str, node: str | None, words: str) -> None:
    with pytest.raises(VgilError, match=words):
        meant_services(command, node, "")


def test_the_one_that_is_offered_is_chosen_and_several_are_named() -> None:
    assert choose_service("start", meant_services("start", None, "r2"), GRAPH) == "/r2/policy/start"
    assert choose_service("stop", meant_services("stop", None, ""), GRAPH) is None
    with pytest.raises(VgilError, match="offered by /recorder/start, /teleop/start; give --node recorder or teleop"):
        choose_service("start", meant_services("start", None, ""), GRAPH)


def test_other_namespaces_that_offer_it_are_found() -> None:
    assert elsewhere("estop", None, GRAPH) == ["r2"]
    assert elsewhere("start", "recorder", GRAPH) == []


def test_a_topic_that_is_much_like_it_is_meant() -> None:
    known = ["/left/follower/joint_states", "/right/follower/joint_states", "/tf"]
    assert did_you_mean("/left/folower/joint_states", known) == "/left/follower/joint_states"
    assert did_you_mean("/cam_high/image_raw", ["/tf"]) is None


def test_the_nodes_that_offer_something_are_nodes_of_ours() -> None:
    assert SERVING == ("recorder", "policy", "teleop", "sim", "bringup")
    assert {node for nodes in OFFERED_BY.values() for node in nodes} <= set(NODES)
    assert all(callable(getattr(entry, node)) for node in NODES)
