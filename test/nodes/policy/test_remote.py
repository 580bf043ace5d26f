"""A robot whose policy runs elsewhere: whatever happens to the server, it is held in time, told why, and goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")
pytest.importorskip("msgpack")
pytest.importorskip("websockets")

from std_msgs.msg import String
from support import contracts
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench, PolicyRig, robot
from support.process import Process
from support.remote.odd_server import AMPLITUDE

from vgil_ros.episodes import EpisodeReader

HOLD_S, WATCH_S = 0.25, 0.5
TOPIC = "/puppet/command"
FAR = 0.8  # rad: where the server wants the first joint
NEAR, SOFT_START = 0.1, 0.2  # the soft start's usual: so near, at 2 rad/s, it ends; its share of the velocity


class RemoteRig(PolicyRig):
    """A robot, a policy node that is told an address, and the server there."""

    def __init__(self, bench: PolicyBench) -> None:
        contract = contracts.write(robot(base=False), bench.folder / "robot.yaml")
        self.server = bench.start(Process, ["support.remote.odd_server", str(contract)])
        port = self.server.expect("^listening").text.split()[1]
        self.rollouts = bench.folder / "rollouts"
        address = f"ws://127.0.0.1:{port}"
        super().__init__(bench, contract, address, odd=False, task="first task", dataset_dir=self.rollouts)

    def tell(self, line: str) -> float:
        """Have the server obey; returns when."""
        since = self.server.mark()
        self.server.write(line + "\n")
        return self.server.expect(f"^done {line}", since=since).at


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteRig]:
    with PolicyBench(tmp_path_factory.mktemp("remote")) as bench:
        made = RemoteRig(bench)
        made.run()
        yield made


def says(rig: RemoteRig, words: str) -> bool:
    return rig.status is not None and words in rig.summary()


@pytest.mark.parametrize(
    ("fault", "mended", "words"),
    [
        ("cut", "back", "nobody listens there"),
        ("hang", "swing", "no answer within 1 s"),
        ("slow 0.3 0.5", "swing", "watchdog: the policy has been silent for"),
        ("garbage", "swing", "is not msgpack"),
        ("shape", "swing", "the answer has chunks (1, 19, 3); allowed: (1, 20, 3)"),
        ("text", "swing", "the server says: ValueError: the model is unhappy"),
        ("token secret", "token -", "a token is needed (HTTP 401)"),
    ],
)
def test_it_holds_within_the_watchdogs_time_says_why_and_goes_on(
    rig: RemoteRig, fault: str, mended: str, words: str
) -> None:
    rig.running()
    since = rig.policy.mark()
    failed = rig.tell(fault)
    if fault.startswith("slow"):  # it is held between two answers, now and again
        rig.policy.expect(f"holding: {words}", since=since)
    else:
        assert rig.commands.assert_holds(failed + HOLD_S, WATCH_S)
        until(partial(says, rig, words), f"'{words}' in {rig.summary()}")
    assert rig.commands.moved(failed - 2.0, failed), "it moved before"
    rig.tell(mended)
    rig.policy.expect("holding: recovered", since=since)
    rig.running()
    assert rig.assert_allowed() > 0, "also on the way back to the policy's actions"


def test_it_goes_on_gently_from_where_it_was_held(rig: RemoteRig) -> None:
    """The server that is back wants the arm far away: it goes there at the soft start's share of its velocity."""
    rig.running()
    failed = rig.tell("cut")
    assert rig.commands.assert_holds(failed + HOLD_S, WATCH_S)
    held = rig.commands.on(TOPIC)[-1]
    since = rig.policy.mark()
    rig.tell(f"at {FAR}")
    try:
        rig.tell("back")
        rig.policy.expect("holding: recovered", since=since)
        until(lambda: rig.commands.on(TOPIC)[-1].values[0] > FAR - AMPLITUDE - NEAR, "it has come there")
        values = np.stack([entry.values for entry in rig.commands.on(TOPIC, since=held.at)])
    finally:
        rig.tell("at 0")
    (arm,) = rig.commands.contract.arms
    slow = SOFT_START * np.array(arm.limits.velocity) / rig.commands.contract.rate_hz
    far = values[:-1, 0] < FAR - AMPLITUDE - NEAR
    steps = np.abs(np.diff(values, axis=0))[far]
    assert (steps <= slow + 1e-6).all(), steps.max(axis=0)
    assert steps[:, 0].sum() > 0.3, "and it had a way to go"
    rig.running()
    assert rig.assert_allowed() > 0


def test_a_new_instruction_reaches_server_status_and_file(rig: RemoteRig) -> None:
    rig.running()
    publisher = rig.bench.client.node.create_publisher(String, "/policy/task", 10)
    until(lambda: publisher.get_subscription_count() == 1, "the policy node listens")
    since = rig.server.mark()
    publisher.publish(String(data="second task"))
    rig.server.expect("^prompt second task", since=since)
    until(lambda: rig.value("task") == "second task", "status")
    time.sleep(0.3)
    publisher.publish(String(data="x" * 2000))
    rig.policy.expect("is refused; allowed: a text of up to 1000 letters")
    assert rig.value("latency_wire_p50_ms")
    assert float(rig.value("latency_server_p50_ms")) == pytest.approx(0.125, abs=0.001)
    rig.stop()
    (file,) = until(lambda: list(rig.rollouts.glob("episode_*.hdf5")), "the rollout's file")
    with EpisodeReader(file) as episode:
        tasks = episode.row_tasks()
        assert len(tasks) == episode.rows
        assert (tasks[0], tasks[-1], episode.task) == ("first task", "second task", "first task")
        assert list(tasks) == sorted(tasks), "one change"
    rig.run()
    time.sleep(1.0)  # some rows
    rig.stop()
    newest = until(lambda: sorted(rig.rollouts.glob("episode_*.hdf5"))[1:], "the second rollout's file")[-1]
    with EpisodeReader(newest) as episode:
        assert set(episode.row_tasks()) == {"second task"}
        assert episode.task == "second task"
