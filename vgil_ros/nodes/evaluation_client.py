"""`vgil eval --over-ros`: the same rollouts through the launch file, the simulator's node and the policy's node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import check_mode, measure_smoothness
from vgil_ros.core.layout import Layout
from vgil_ros.episodes.naming import aborted_in, episodes_in
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.video import write_video
from vgil_ros.evaluation.evaluate import EvaluationPlan
from vgil_ros.evaluation.metrics import Percentiles, Rollout, summarise
from vgil_ros.evaluation.report import EvaluationReport, Machine, make_report
from vgil_ros.evaluation.thumbnails import THUMBS, ThumbnailSheet
from vgil_ros.nodes.dds.reach import kept_local
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.inference.opening import open_for_robot
from vgil_ros.policies.remote.address import is_remote
from vgil_ros.policies.remote.policy import RemotePolicy
from vgil_ros.robots.worlds import highest_reward, is_gym_task

DOMAIN = "78"  # away from robots on the default domain 0, unless the user has chosen one
START_S = 120.0  # for nodes to come up and a checkpoint to be warmed up, on a busy machine
SLOWEST = 10.0  # an episode may take so many times its simulated length
STOP_S = 30.0
ANSWER_S = 10.0
LIMIT = "safety_events_"  # a limit's name follows


def settle_over_ros(plan: EvaluationPlan, checkpoint: str | Path) -> tuple[EvaluationPlan, PolicyConfig]:
    """The plan with what a checkpoint says of how it is played, and its configuration.

    Raises:
        VgilError: it does not fit.
    """
    contract, _ = load_contract(plan.robot_name)
    policy = open_for_robot(checkpoint, Layout(contract), mapping=plan.remote_mapping, task=plan.task)
    if isinstance(policy, RemotePolicy):
        policy.close()  # the node connects by itself
    plan = plan.for_checkpoint(policy.config.execution, policy.config.chunk_size)
    check_mode(plan.mode, policy.config.type, policy.supports_prefix)
    return plan, policy.config


def evaluate_over_ros(
    plan: EvaluationPlan, checkpoint: str | Path, *, videos: Path | None = None, progress: Callable[[Rollout], None]
) -> EvaluationReport:
    """Run a checkpoint through the real nodes; the report is that of `evaluation.evaluate.evaluate`.

    Simulated time goes at the wall clock's pace, so that inference takes what it takes, and no two runs are equal.

    Raises:
        VgilError: where the checkpoint does not fit, or the nodes do not come up or end early, with their last words.
    """
    if plan.latency_trace is not None:
        raise VgilError(
            f"--latency-trace {plan.latency_trace.name} with --over-ros: there an inference takes what it takes;"
            " allowed: without it, or without ROS"
        )
    if plan.swap_images_from_seed is not None:
        raise VgilError("--swap-images-from-seed cannot be handed on to the nodes; allowed: without it, or without ROS")
    contract, _ = load_contract(plan.robot_name)
    plan, config = settle_over_ros(plan, checkpoint)
    began = time.perf_counter()
    if videos is not None:
        videos.mkdir(parents=True, exist_ok=True)
    sheet, max_reward = ThumbnailSheet(), highest_reward(plan.task)
    rollouts = []
    environment = {"ROS_DOMAIN_ID": DOMAIN} | kept_local(os.environ) | dict(os.environ)
    with (
        tempfile.TemporaryDirectory(prefix="vgil_eval_") as folder,
        _Launch(plan, checkpoint, Path(folder), environment) as launch,
        _Watcher(environment) as watcher,
    ):
        for seed in range(plan.seed, plan.seed + plan.episodes):
            path = launch.rollout(watcher, seed)
            ends = is_gym_task(plan.task)
            rollouts.append(_measure(path, seed, watcher, max_reward, Layout(contract).joints, ends_when_done=ends))
            if videos is not None:
                _write_video(path, rollouts[-1], videos, sheet)
            progress(rollouts[-1])
        inference = {name: watcher.number(f"latency_{name}_ms") for name in ("p50", "p99")}
    if videos is not None:
        sheet.save(videos / "thumbnail_sheet.png")
    known = {name: value for name, value in inference.items() if value is not None}
    return make_report(
        plan.settings.model_copy(update={"latency_ms": None}),  # what it takes, see `machine`
        summarise(rollouts, max_reward),
        Machine(inference_ms=Percentiles(**known), seconds=time.perf_counter() - began),
        checkpoint=str(checkpoint),
        policy=config.type,
        fingerprint=config.fingerprint,
        over_ros=True,
    )


def launch_arguments(plan: EvaluationPlan, checkpoint: str | Path, folder: Path) -> dict[str, str]:
    """What policy.launch.py is given for a plan, its rollouts recorded in a folder."""
    arguments = {
        "sim": "true",
        "sim_time": "true",
        "robot": plan.robot_name,
        "task": plan.task,
        "seed": str(plan.seed),
        "checkpoint": str(checkpoint) if is_remote(checkpoint) else str(Path(checkpoint).expanduser().absolute()),
        "execution": plan.mode,
        "device": plan.device,
        "dataset_dir": str(folder),
        "episode_len": str(plan.ticks),
        "autostart": "false",
        "watchdog_ms": str(plan.watchdog_ms),
        "max_age_ms": str(plan.max_age_ms),
        "soft_start": str(plan.soft_start),
    }
    if plan.remote_mapping is not None:
        arguments["remote_mapping"] = str(plan.remote_mapping.expanduser().absolute())
    for name in ("inference_period", "ensemble_coefficient"):  # None: the policy node's default
        if (value := getattr(plan, name)) is not None:
            arguments[name] = str(value)
    return arguments


class _Launch:
    """policy.launch.py with the simulator, as a process group of its own."""

    def __init__(self, plan: EvaluationPlan, checkpoint: str | Path, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._plan = folder, plan
        self._contract: Contract = load_contract(plan.robot_name)[0]
        command = [sys.executable, "-m", "vgil_ros.cli.main", "launch", "policy.launch.py"]
        arguments = launch_arguments(plan, checkpoint, folder)
        self._log = (folder / "launch.log").open("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            command + [f"{key}:={value}" for key, value in arguments.items()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is this command's, which then ends the nodes in order
        )

    def __enter__(self) -> _Launch:
        return self

    def rollout(self, watcher: _Watcher, seed: int) -> Path:
        """One rollout of the scene of a seed; its recording."""
        before = set(self._episodes())
        self._wait(lambda: watcher.begin(seed), START_S, "the policy node did not start a rollout")
        limit = START_S + SLOWEST * self._plan.ticks / self._contract.rate_hz
        self._wait(lambda: set(self._episodes()) - before or aborted_in(self._folder), limit, "a rollout did not end")
        for aborted in aborted_in(self._folder):
            with EpisodeReader(aborted) as episode:
                raise VgilError(f"the rollout of seed {seed} was aborted after {episode.rows} ticks: {episode.aborted}")
        self._wait(lambda: watcher.value("state") == "idle", START_S, "the policy node did not come to rest")
        return (set(self._episodes()) - before).pop()

    def _episodes(self) -> list[Path]:
        return episodes_in(self._folder)

    def _wait(self, condition: Callable[[], Any], seconds: float, complaint: str) -> None:
        end = time.monotonic() + seconds
        while not condition():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > end:
                why = f"the launch ended with exit code {self._process.returncode}" if ended else f"in {seconds:.0f} s"
                raise VgilError(f"{complaint}: {why}; its last words:\n{self._last_lines()}")
            time.sleep(0.05)

    def _last_lines(self) -> str:
        self._log.seek(0)
        return "".join(self._log.readlines()[-15:])

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)  # our own group: the launch and its nodes
                self._process.wait()
        self._log.close()


class _Watcher:
    """A node that sets the scene's seed, starts the policy, and hears rewards and status."""

    def __init__(self, environment: dict[str, str]) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticStatus
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.parameter_client import AsyncParameterClient
        from rosgraph_msgs.msg import Clock
        from std_msgs.msg import Float32
        from std_srvs.srv import Trigger

        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        self._node = rclpy.create_node("vgil_eval", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._now_ns = 0
        self._values: dict[str, str] = {}
        self.rewards: list[tuple[int, float]] = []  # of the running rollout: simulated time, reward
        self._counts_before: dict[str, int] = {}
        self._sim: Any = AsyncParameterClient(self._node, "sim")
        self._start: Any = self._node.create_client(Trigger, "policy/start")
        self._node.create_subscription(Clock, "/clock", self._on_clock, 10)
        self._node.create_subscription(Float32, "sim/reward", self._on_reward, 100)
        self._node.create_subscription(DiagnosticStatus, "policy/status", self._on_status, 10)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="watcher", daemon=True)

    def __enter__(self) -> _Watcher:
        self._thread.start()
        return self

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _on_clock(self, message: Any) -> None:
        self._now_ns = message.clock.sec * 1_000_000_000 + message.clock.nanosec

    def _on_reward(self, message: Any) -> None:
        self.rewards.append((self._now_ns, float(message.data)))

    def _on_status(self, message: Any) -> None:
        self._values = {pair.key: pair.value for pair in message.values}

    def value(self, key: str) -> str:
        """A value of the policy's last status; "" before the first."""
        return self._values.get(key, "")

    def number(self, key: str) -> float | None:
        """A number of the policy's last status; None where it has none yet."""
        text = self.value(key)
        return float(text) if text else None

    def safety_events(self) -> dict[str, int]:
        """Safety events since the rollout began, by name."""
        now = self._counts()
        counts = {name: count - self._counts_before.get(name, 0) for name, count in sorted(now.items())}
        return {name: count for name, count in counts.items() if count > 0}

    def _counts(self) -> dict[str, int]:
        values = dict(self._values)
        return {key[len(LIMIT) :]: int(count) for key, count in values.items() if key.startswith(LIMIT)}

    def begin(self, seed: int) -> bool:
        """Try to start a rollout of a seed's scene."""
        from rclpy.parameter import Parameter
        from std_srvs.srv import Trigger

        ready = self._sim.services_are_ready() and self._start.service_is_ready()
        if not ready or self.value("state") != "idle":
            return False
        result = self._result(self._sim.set_parameters([Parameter("seed", value=seed)]))
        if result is None or not result.results[0].successful:
            return False
        self._counts_before, self.rewards = self._counts(), []
        started = self._result(self._start.call_async(Trigger.Request()))
        return started is not None and bool(started.success)

    @staticmethod
    def _result(future: Any) -> Any:
        """A service's answer, None where none comes."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        return future.result() if done.wait(ANSWER_S) else None

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


def _measure(
    path: Path, seed: int, watcher: _Watcher, max_reward: float, joints: int, *, ends_when_done: bool
) -> Rollout:
    """A rollout's figures from its recording and what was heard meanwhile; up to its success where that ends it."""
    with EpisodeReader(path) as episode:
        stamps, actions, success = episode.stamp_ns, np.asarray(episode.action), bool(episode.success)
    assert stamps is not None
    rewards = [reward for at, reward in list(watcher.rewards) if int(stamps[0]) <= at]
    rewards = rewards[: len(actions)]
    done_at = next((step for step, reward in enumerate(rewards, 1) if reward >= max_reward), None)
    if ends_when_done and done_at is not None:
        rewards, actions = rewards[:done_at], actions[:done_at]
    smoothness = measure_smoothness(actions[:, :joints])
    return Rollout(
        seed=seed,
        success=success,
        ret=float(sum(rewards)),
        highest_reward=max(rewards, default=0.0),
        steps=len(actions),
        steps_to_success=done_at,
        smoothness={
            "max": float(smoothness.second_difference_max.max()),
            "p99": float(smoothness.second_difference_p99.max()),
        },
        safety_events=watcher.safety_events(),
    )


def _write_video(path: Path, rollout: Rollout, videos: Path, sheet: ThumbnailSheet) -> None:
    with EpisodeReader(path) as episode:
        write_video(episode, videos / f"seed_{rollout.seed}.mp4")
        rows = np.linspace(0, episode.rows - 1, THUMBS).round().astype(int).tolist()
        sheet.add(rollout, [episode.image(episode.camera_names[0], row) for row in rows])
