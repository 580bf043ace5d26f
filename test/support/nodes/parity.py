"""Plays recorded traces through one driver of the control loop.

`python -m support.nodes.parity DRIVER FOLDER TRACE...`

FOLDER holds robot.yaml, TRACE.npz and what the driver needs (checkpoint/, episode_0.hdf5). The driver is the real one;
only its clock is that of the trace, and its streams are pushed as they were recorded. Every command that it encodes is
written to FOLDER/TRACE_DRIVER.npy, (turns, J + 2), NaN where it sent none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import rclpy
from geometry_msgs.msg import Twist
from sensor_msgs.msg import JointState

from support.contracts import HEIGHT, WIDTH
from vgil_ros.assets import load_contract
from vgil_ros.core.control.pipeline import ChunkSize, ExecutionOptions, make_action_pipeline
from vgil_ros.core.control.requests import InferenceRequest
from vgil_ros.core.frame import Frame
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.session import SessionCommand, SessionState
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer

WARM_TURNS = 3  # before the begin: streams come, nothing moves
CHUNK = 20


@dataclass(frozen=True, eq=False)
class Trace:
    """What arrived when, when the loop turned, and what is asked for at each tick.

    Attributes:
        turns: (N,) int64 ns; episodes begin at turn `WARM_TURNS`, which is tick 0.
        arrivals, stamps: (M,) int64 ns, rising arrivals. streams: (M,) names. contents: (M,) int64 of an image.
        joints: (M, J) positions in the puppet's units; odometry: (M, 2).
        actions: (T, J + 2) by tick, in the units of the action.
    """

    turns: np.ndarray
    arrivals: np.ndarray
    stamps: np.ndarray
    streams: np.ndarray
    contents: np.ndarray
    joints: np.ndarray
    odometry: np.ndarray
    actions: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read an .npz."""
        with np.load(path) as stored:
            return cls(**{key: stored[key] for key in stored})

    def save(self, path: Path) -> None:
        """Write an .npz."""
        np.savez(path, **vars(self))

    def chunk(self, tick: int) -> np.ndarray:
        """Rows (CHUNK, J + 2) from a tick on; the last action stays."""
        return self.actions[np.minimum(tick + np.arange(CHUNK), len(self.actions) - 1)].astype(np.float64)


class Feed:
    """Pushes what had arrived by a time."""

    def __init__(self, trace: Trace) -> None:
        self._trace, self._next = trace, 0

    def until(self, now_ns: int, sync: Synchronizer) -> None:
        """Push everything up to `now_ns` that the synchroniser listens to."""
        trace, names = self._trace, {spec.name for spec in sync.streams}
        while self._next < len(trace.arrivals) and trace.arrivals[self._next] <= now_ns:
            at, self._next = self._next, self._next + 1
            name = str(trace.streams[at])
            if name in names:
                payload, content = self._payload(name, at)
                arrival = int(trace.arrivals[at])
                assert sync.push(name, int(trace.stamps[at]), payload, now_ns=arrival, content=content) is None

    def _payload(self, name: str, at: int) -> tuple[Any, int | None]:
        if name.endswith("/puppet"):
            position = self._trace.joints[at]
            return np.stack([position, np.zeros_like(position), np.full_like(position, np.nan)]), None
        if name == "base":
            return self._trace.odometry[at].copy(), None
        content = int(self._trace.contents[at])
        pixels = np.full((HEIGHT, WIDTH, 3), content % 256, np.uint8)
        return Image(Frame(HEIGHT, WIDTH, "rgb8", WIDTH * 3, memoryview(pixels.tobytes()))), content


class Image(Frame):
    """A frame that the simulated world's reader takes too."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.height, frame.width, frame.encoding, frame.step, frame.data)

    def image(self) -> Frame:
        """Itself."""
        return self


class Clock:
    """The trace's time, for a node."""

    now = 0

    def __call__(self) -> int:
        return self.now


class Sent:
    """The commands of each turn."""

    def __init__(self, turns: int, width: int) -> None:
        self.rows = np.full((turns, width), np.nan)
        self.turn = 0

    def add(self, positions: np.ndarray, base: np.ndarray | None) -> None:
        """A command of this turn."""
        assert base is not None
        assert np.isnan(self.rows[self.turn]).all(), "one command a turn"
        self.rows[self.turn] = np.concatenate([positions, base])

    def watch(self, commands: Any) -> None:
        """Note what a node encodes, which it then publishes."""
        encode = commands.encode

        def noted(action: np.ndarray, base: np.ndarray | None = None) -> Any:
            self.add(action, base)
            return encode(action, base)

        commands.encode = noted


def turn_node(node: Any, trace: Trace, sent: Sent, turn: Callable[[int], None], first: int = 0) -> None:
    """Let a node turn at the trace's times, with somebody listening to its commands."""
    listener = rclpy.create_node("listener", context=node.context)
    listener.create_subscription(JointState, "/puppet/command", lambda _: None, 10)
    listener.create_subscription(Twist, "/cmd_vel", lambda _: None, 10)
    end = time.monotonic() + 60
    while node.commands.hindrances():
        assert time.monotonic() < end
        time.sleep(0.01)
    sent.watch(node.commands)
    feed, clock = Feed(trace), Clock()
    node.now_ns = clock
    for sent.turn, now in enumerate(trace.turns.tolist()):
        clock.now = now
        feed.until(now, node.sync)
        if sent.turn >= first:
            turn(sent.turn)
    listener.destroy_node()
    node.destroy_node()


def play_policy(folder: Path, trace: Trace, sent: Sent) -> None:
    """The policy node; its network is the trace's."""
    from vgil_ros.nodes.policy import PolicyNode

    class TracedPolicy(PolicyNode):
        def infer(self, request: InferenceRequest) -> np.ndarray:
            super().infer(request)
            return trace.chunk(request.tick)

    arguments = {"robot": folder / "robot.yaml", "checkpoint": folder / "checkpoint", "execution": "async"}
    rclpy.init(args=["policy", "--ros-args", *(x for k, v in arguments.items() for x in ("-p", f"{k}:={v}"))])
    node = TracedPolicy()

    def turn(number: int) -> None:
        if number == WARM_TURNS:
            assert node.command(SessionCommand.START).ok
        node.step()
        assert (node.session.state is SessionState.RUNNING) == (number >= WARM_TURNS)
        while node.worker.busy and node.worker._results.empty():  # the trace's time waits for the network
            time.sleep(0.0005)

    turn_node(node, trace, sent, turn)


def play_environment(folder: Path, trace: Trace, sent: Sent) -> None:
    """The thread behind RosEnvironment, with a caller that asks for one action a tick."""
    from vgil_ros.nodes.environment.driver import DriverNode
    from vgil_ros.nodes.environment.mailbox import Request, Topics

    contract, _ = load_contract(str(folder / "robot.yaml"))
    layout = Layout(contract)
    rclpy.init()
    node = DriverNode(rclpy.get_default_context(), contract, layout, Topics("", "", ""), ExecutionOptions())

    def turn(number: int) -> None:
        tick = number - WARM_TURNS
        if tick == -2:  # the streams settle for two ticks
            node.requests.put(Request(1, begin=True))
        elif tick > 0:
            action = trace.actions[tick].astype(np.float64)
            node.requests.put(Request(1 + tick, Command(action[:-2], action[-2:])))
        node._turn()

    turn_node(node, trace, sent, turn)


def play_replay(folder: Path, trace: Trace, sent: Sent) -> None:
    """The replay node; the trace's actions are an episode from tick 1 on."""
    from vgil_ros.nodes.replay import Replay

    arguments = {"robot": folder / "robot.yaml", "episode": folder / "episode_0.hdf5"}
    rclpy.init(args=["replay", "--ros-args", *(x for k, v in arguments.items() for x in ("-p", f"{k}:={v}"))])
    node = Replay()
    turn_node(node, trace, sent, lambda number: node._step(), first=WARM_TURNS)


class TraceWorld:
    """A trace in place of the simulated robot."""

    begin_steps = (1, 1)
    over = False

    def __init__(self, folder: Path, trace: Trace, sent: Sent) -> None:
        self.contract, _ = load_contract(str(folder / "robot.yaml"))
        self.layout, self.streams = Layout(self.contract), streams_of(self.contract, masters=False)
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz)
        self.robot: Any = self
        self.rng: Any = self
        self.seconds = 0.0
        self._trace, self._sent, self._feed = trace, sent, Feed(trace)

    def reset(self, seed: int) -> None:
        """Go to the turn before the first tick."""
        self._sent.turn = WARM_TURNS - 1

    def integers(self, *_: object, **__: object) -> int:
        """One step to the first tick."""
        return 1

    @property
    def now_ns(self) -> int:
        """The time of the turn."""
        return int(self._trace.turns[self._sent.turn])

    def advance(self) -> None:
        """To the next turn."""
        self._sent.turn += 1
        self._feed.until(self.now_ns, self.sync)

    def ticks(self) -> list[Sample | Miss]:
        """Ripe ticks."""
        ticks: list[Sample | Miss] = []
        while (tick := self.sync.sample(self.now_ns)) is not None:
            ticks.append(tick)
        return ticks

    def command(self, action: np.ndarray, base: np.ndarray | None = None) -> None:
        """A command of this turn."""
        self._sent.add(action, base)

    def reward(self) -> float:
        """None here."""
        return 0.0

    def success(self) -> bool:
        """None here."""
        return False


class TraceSource:
    """Answers with the trace's actions."""

    horizon, obs_offsets, supports_prefix = CHUNK, (), False

    def __init__(self, world: TraceWorld, trace: Trace) -> None:
        self.action_dim = world.layout.dim + 2
        self.cameras = world.layout.image_names
        self.inference_s: list[float] = []
        self._trace, self._rate = trace, world.contract.rate_hz

    def reset(self, seed: int) -> None:
        """Nothing is remembered."""

    def chunk(self, observation: Mapping[str, Any], seconds: float) -> np.ndarray:
        """The chunk of the observation's tick."""
        from vgil_ros.robots.sim.simulation import START_NS

        since = round(seconds * 1e9) + START_NS - int(self._trace.turns[WARM_TURNS])
        return self._trace.chunk(round(since * self._rate / 1e9))


def play_evaluation(folder: Path, trace: Trace, sent: Sent) -> None:
    """The rollouts of `vgil eval`."""
    from vgil_ros.evaluation.latency import LatencyTrace
    from vgil_ros.evaluation.rollout import RolloutRunner
    from vgil_ros.robots.worlds import World

    world = TraceWorld(folder, trace, sent)
    source = TraceSource(world, trace)
    size = ChunkSize(CHUNK, source.action_dim, CHUNK)
    pipeline = make_action_pipeline(ExecutionOptions("async"), world.layout, world.streams, size)
    runner = RolloutRunner(cast(World, world), pipeline, source, latency=LatencyTrace.constant(0.0), episode_len=10**6)
    try:
        runner.run(0)
    except IndexError:  # the trace is over
        return
    raise AssertionError("the rollout ended before its trace")


DRIVERS: dict[str, Callable[[Path, Trace, Sent], None]] = {
    "policy": play_policy,
    "environment": play_environment,
    "replay": play_replay,
    "evaluation": play_evaluation,
}


def main() -> None:
    """Play one driver."""
    driver, folder, traces = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    for name in traces:
        trace = Trace.load(folder / f"{name}.npz")
        sent = Sent(len(trace.turns), trace.actions.shape[1])
        DRIVERS[driver](folder, trace, sent)
        if rclpy.ok():
            rclpy.shutdown()
        np.save(folder / f"{name}_{driver}.npy", sent.rows)


if __name__ == "__main__":
    main()
