"""Every kind of policy in the one node: it drives the robot, and is shown the past by stamp, of this episode alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")
pytest.importorskip("diffusers")

from support import checkpoints, contracts
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench, PolicyRig, robot

PERIOD_NS = 20_000_000
TASK = "lift the red cube"


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    with PolicyBench(tmp_path) as made:
        yield made


def shown(rig: PolicyRig, since: int = 0) -> list[dict[str, Any]]:
    """What the policy was shown, question by question."""
    lines = [line.text for line in rig.policy.lines[since:]]
    return [json.loads(line.removeprefix("shown ")) for line in lines if line.startswith("shown {")]


def begun(rig: PolicyRig) -> list[int]:
    """The stamps at which episodes began."""
    return [int(line.text.removeprefix("begun ")) for line in rig.policy.lines if line.text.startswith("begun ")]


def assert_past(requests: list[dict[str, Any]], ticks: tuple[int, ...], began: int) -> int:
    """Hold the past of each question against its stamps and the images seen before; count those that were known.

    Where the last episode's answer is still awaited, the first question of one is asked late, and has a past.
    """
    images = {request["stamp"]: request["image"] for request in requests}
    known = 0
    for request in requests:
        assert request["known"] == [stamp is not None for stamp in request["past"]]
        assert len(request["past"]) == len(ticks)
        for stamp, distance, image in zip(request["past"], ticks, request["past_pictures"], strict=True):
            if stamp is None:
                assert image == request["image"], "what is not known is a copy of the present"
                continue
            known += 1
            assert abs(request["stamp"] - distance * PERIOD_NS - stamp) <= PERIOD_NS // 2
            assert stamp >= began, "nothing of the episode before"
            assert image == images.get(stamp, image)
    return known


@pytest.mark.parametrize(
    ("kind", "execution", "ticks"),
    [
        ("flow_act", "temporal_ensemble", (5,)),
        ("flow_matching", "rtc", ()),
        ("diffusion", "rtc", (2, 1)),
        ("flow_matching", "consistent", ()),
    ],
)
def test_each_kind_drives_the_robot(bench: PolicyBench, kind: str, execution: str, ticks: tuple[int, ...]) -> None:
    contract = contracts.write(robot(base=False), bench.folder / "robot.yaml")
    checkpoint = checkpoints.make(contract, bench.folder / "checkpoint", kind=kind)
    rig = PolicyRig(bench, contract, checkpoint, module="support.nodes.telling_policy", execution=execution, task=TASK)
    rig.run()
    assert rig.value("policy") == kind
    until(lambda: len(shown(rig)) > 30, "questions")
    assert rig.assert_allowed() > 0
    since = rig.policy.mark()
    answer = rig.call("reset")
    assert answer.success, answer.message
    rig.policy.expect("episode 1 begins", since=since)
    until(lambda: len(shown(rig, since)) > 30, "questions after the reset")
    rig.stop()
    requests = shown(rig)
    first, second = begun(rig)
    before = [request for request in requests if request["stamp"] < second]
    after = [request for request in requests if request["stamp"] >= second]
    for episode, began in ((before, first), (after, second)):
        assert episode[0]["stamp"] >= began
        known = assert_past(episode, ticks, began)
        assert known >= len(ticks) * (len(episode) - max(ticks, default=0)) // 2
    assert {request["task"] for request in requests} == {TASK}
    settled = max(request["settled"] for request in requests)
    assert (settled > 0) == (execution == "rtc")
