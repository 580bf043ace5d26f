"""Who commands a robot: the rule, in words."""

from __future__ import annotations

import pytest

from vgil_ros.assets import load_contract
from vgil_ros.core.graph.commanders import UNKNOWN, contest, full_name, twins
from vgil_ros.core.streams import commands_of

TOPIC = "/arm/command"


@pytest.mark.parametrize(
    ("commanders", "mine", "words"),
    [
        ([], 0, None),
        (["/r2/policy"], 1, None),
        (["/intruder"], 0, "come from node /intruder too"),
        (["/r2/policy", "/intruder", "/intruder"], 1, "come from node /intruder too"),
        (["/policy", "/r2/policy"], 1, "come from node /policy too"),
        (["/r2/policy", "/r2/policy"], 1, "come from another node /r2/policy too"),
        (["/b", "/a", UNKNOWN], 0, f"come from node /a, node /b, {UNKNOWN} too"),
    ],
    ids=["nobody", "itself", "another", "once each", "other namespace", "twin", "all of them"],
)
def test_whoever_has_a_publisher_commands(commanders: list[str], mine: int, words: str | None) -> None:
    found = contest(TOPIC, commanders, "/r2/policy", mine)
    assert found is None if words is None else found == f"commands on {TOPIC} {words}; only one may command", found


def test_a_name_that_the_graph_does_not_know_is_said_so() -> None:
    assert full_name("/", "a") == "/a"
    assert full_name("/r2", "a") == "/r2/a"
    assert full_name("/_NODE_NAMESPACE_UNKNOWN_", "_NODE_NAME_UNKNOWN_") == UNKNOWN


def test_a_twin_has_the_same_name_in_the_same_namespace() -> None:
    graph = [("recorder", "/"), ("recorder", "/r2"), ("recorder", "/r2")]
    assert twins(graph, ("recorder", "/")) == 0
    assert twins(graph, ("recorder", "/r2")) == 1
    assert twins([], ("recorder", "/")) == 0


def test_an_arm_whose_driver_follows_its_master_takes_no_commands_of_ours() -> None:
    contract, _ = load_contract("mobile_aloha")
    named = [name for name, _ in commands_of(contract)]
    assert named == [*(f"{arm.name}/command" for arm in contract.arms), "base/command"]
    first, *others = contract.arms
    assert first.master is not None
    command = first.command.model_copy(update={"topic": first.master.topic})
    led = contract.model_copy(update={"arms": (first.model_copy(update={"command": command}), *others)})
    assert [name for name, _ in commands_of(led)] == named[1:]
