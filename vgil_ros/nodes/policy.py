"""The policy node: observations in, a checkpoint's action chunks played safely, commands out.

Each turn of the control loop, on the contract's rate: complete ticks from `core.sync`; the newest goes to the inference
thread if that is free and the executor wants a chunk; `core.acting` plays what is there and judges the command; it is
encoded for every topic, then published. The node itself decides nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from std_srvs.srv import SetBool

from vgil_ros.core.acting import Actor, safety_for
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import make_executor
from vgil_ros.core.layout import POSITION
from vgil_ros.core.safety import Context, Outcome
from vgil_ros.core.session import Command as Ask
from vgil_ros.core.session import State
from vgil_ros.core.streams import Kind, StreamSpec, streams_of
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.pictures import to_rgb
from vgil_ros.nodes.chunk_view import ChunkView
from vgil_ros.nodes.commands import RobotCommands
from vgil_ros.nodes.inference import InferenceWorker
from vgil_ros.nodes.rollout_sink import RolloutSink
from vgil_ros.nodes.runtime import run
from vgil_ros.nodes.session_node import SessionNode
from vgil_ros.nodes.timing import Deadlines, Durations
from vgil_ros.policies import Policy, load_policy
from vgil_ros.policies.robot_check import compare_with_robot, unknowns
from vgil_ros.policies.runtime import InferenceRuntime

RELEASE_TICKS = 25  # an episode's end is held for this long before the node lets go of the topics


class PolicyNode(SessionNode):
    """Drives a robot with a checkpoint (see `core.session` for how a session goes)."""

    def __init__(self) -> None:
        self.period_s = 0.0
        super().__init__("policy")
        sys.setswitchinterval(0.0005)  # the inference thread must not keep the control loop waiting
        self.period_s = 1.0 / self.contract.rate_hz
        self.dry_run = self.declare("dry_run", False)
        self.actor = self._make_actor()
        self.commands = RobotCommands(self, self.layout, self.period_s)
        self.observations = ObservationBuilder(self.layout, self.streams)
        self.rollout = RolloutSink.of(self, self.contract, self.contract_text, self.streams, self.task)
        self.view = ChunkView(self, self.layout, self.actor, self.period_s)
        self.worker: InferenceWorker[Sample] = InferenceWorker(self.infer, self.runtime.reset)
        self.deadlines, self.latency, self.tick_time = Deadlines(self.period_s), Durations(), Durations(4000)
        self.estop = False
        self.outcome: Outcome | None = None
        self._origin_ns = self.now_ns()
        self._latest: Sample | None = None
        self._asked_tick = -1
        self._moving = False  # the first chunk of the episode has come
        self._release = 0
        self._puppets = [i for i, s in enumerate(self.streams) if s.name.endswith("/puppet")]
        for command in (Ask.START, Ask.STOP):
            self.serve(command.value, command)
        self.serve("reset", Ask.REDO)
        self.create_service(SetBool, "/policy/estop", self._on_estop)

    def choose_streams(self) -> tuple[StreamSpec, ...]:
        """Load the checkpoint, hold it against the contract, and take the streams that it (or a recording) needs.

        Raises:
            VgilError: for every mismatch between checkpoint and robot; nothing has been sent then.
        """
        checkpoint = self.declare("checkpoint", "")
        if not checkpoint:
            raise VgilError(
                "parameter checkpoint is empty; allowed: a checkpoint folder (policy.json, model.safetensors)"
            )
        device = self.declare("device", "cpu")
        policy = load_policy(Path(checkpoint).expanduser(), device="cpu")
        wrong = compare_with_robot(policy, self.layout)
        if wrong:
            lines = "\n".join(f"  - {line}" for line in wrong)
            raise VgilError(f"checkpoint {checkpoint} does not fit robot '{self.contract.name}':\n{lines}")
        for unknown in unknowns(policy.config):
            self.get_logger().warning(f"the checkpoint does not say its {unknown}: not checked")
        self.runtime = self._warm(policy, device)
        keep_all = bool(self.declare("dataset_dir", ""))
        used = set(policy.config.camera_names)
        pictures = (Kind.IMAGE, Kind.DEPTH)
        streams = streams_of(self.contract, masters=False)
        return tuple(s for s in streams if s.kind not in pictures or keep_all or s.name in used)

    def _warm(self, policy: Policy, device: str) -> InferenceRuntime:
        self.config = policy.config
        precision: Any = self.declare("precision", "fp32")
        runtime = InferenceRuntime(policy, device, precision)
        example = None
        if any(camera.height is None for camera in policy.config.cameras):
            sizes = {camera.name: (camera.height, camera.width) for camera in self.contract.cameras}
            images = {name: np.zeros((*sizes[name], 3), np.uint8) for name in policy.config.camera_names}
            example = {"qpos": np.zeros(policy.config.state_dim, np.float32), "images": images}
        began = time.perf_counter()
        report = runtime.warm_up(example)
        words = f"{self.config.type} on {runtime.device}, {report.precision}"
        if precision != "fp32":
            words += f", actions within {report.max_difference:.2g} of fp32"
        self.get_logger().info(f"warmed up in {time.perf_counter() - began:.1f} s: {words}")
        return runtime

    def _make_actor(self) -> Actor:
        mode = self.declare("execution", "temporal_ensemble")
        options: dict[str, Any] = {}
        if mode == "temporal_ensemble":
            options["coefficient"] = self.declare("ensemble_coefficient", 0.01)
        elif (every := self.declare("query_every", 0)) > 0:
            options["query_every"] = every
        executor = make_executor(mode, self.config.chunk_size, self.config.action_dim, **options)
        old = int(self.declare("max_age_ms", 200.0) * 1e6)
        ages = {spec.name: old for spec in self.streams} | {"observation": old}
        silence = int(self.declare("watchdog_ms", 200.0) * 1e6)
        soft = self.declare("soft_start", 0.2)
        safety = safety_for(self.layout, ages, max_silence_ns=silence, soft_start=soft)
        return Actor(self.layout, executor, safety, self.config.action_dim)

    def infer(self, sample: Sample) -> np.ndarray:
        """In the inference thread: a sample's observation through the policy, chunk (H, A)."""
        observation = self.observations.observation(sample.payloads)
        images = observation.get("images", {})
        pictures = {name: to_rgb(images[name]) for name in self.config.camera_names}
        return self.runtime({"qpos": observation["qpos"], "images": pictures})

    def not_ready(self) -> tuple[str, ...]:
        """Streams that are missing, and the e-stop."""
        stops = ("the e-stop is set: release it with /policy/estop false",) if self.estop else ()
        return stops + super().not_ready()

    def begin(self) -> None:
        """An episode begins: the ticks of synchroniser, chunks and commands are counted from now."""
        self._origin_ns = self.now_ns()
        self.sync.start(self._origin_ns)
        self.actor.reset()
        self.worker.new_episode()
        self.rollout.open()
        self._latest, self._asked_tick, self._moving, self._release = None, -1, False, 0
        self.deadlines = Deadlines(self.period_s)
        mode = "dry run, nothing is sent" if self.dry_run else "the robot will move"
        self.get_logger().info(f"episode {self.session.saved + 1} begins: {mode}")

    def take(self, found: Sample | Miss) -> None:
        """A complete tick becomes the newest observation; a missing stream is named, and safety holds when it lasts."""
        if isinstance(found, Miss):
            words = "; ".join(self.inputs.explain(m) for m in found.streams)
            self.trouble("observation", f"no observation: {words}")
            return
        self.recovered("observation")
        self._latest = found
        self.rollout.observe(self._tick_of(found.stamp_ns), found)

    def step(self) -> None:
        """One turn of the control loop."""
        began = time.perf_counter()
        running = self.session.state is State.RECORDING
        if running:
            self.deadlines.turn(began)
        super().step()
        if running and self.session.state is State.RECORDING:
            self._control()
            self.tick_time.add(time.perf_counter() - began)
        elif self._release > 0 or self.estop:
            self._release -= 1
            self._send(self.actor.send(None, self._circumstances(self._tick_of(self.now_ns()), 0)))

    def _control(self) -> None:
        now = self.now_ns()
        tick = self._tick_of(now)
        for answer in self.worker.answers():
            self.latency.add(answer.seconds)
            self.actor.executor.add_chunk(answer.tick, answer.chunk)
            self._moving = True
        self._ask(tick, now)
        if self.worker.failure is not None:
            self.trouble(
                "policy", f"the inference thread has died: {self.worker.failure}; start anew after a look at it"
            )
        if not self._moving:
            return
        self.view.tick = tick
        outcome = self.actor.act(self._circumstances(tick, now))
        self._send(outcome)
        self._explain(outcome)
        if outcome.command is not None:
            self.rollout.acted(tick, outcome.command)
        self.sampled()
        if self.actor.ended and self.session.state is State.RECORDING:
            self.get_logger().info("the policy says that the task is done")
            self.command(Ask.STOP)

    def _ask(self, tick: int, now: int) -> None:
        sample = self._latest
        if sample is None or not self.actor.executor.wants_inference(tick):
            return
        made_for = self._tick_of(sample.stamp_ns)
        if made_for > self._asked_tick and self.worker.ask(made_for, sample, now):
            self._asked_tick = made_for

    def _tick_of(self, stamp_ns: int) -> int:
        return round((stamp_ns - self._origin_ns) * self.contract.rate_hz / 1e9)

    def _circumstances(self, tick: int, now: int) -> Context:
        now = now or self.now_ns()
        ages: dict[str, int | None] = {}
        for spec in self.streams:
            newest = self.sync.rings[spec.name].newest
            ages[spec.name] = None if newest is None else now - newest
        ages |= {miss.stream: miss.age_ns for miss in self.sync.frozen()}
        ages["observation"] = None if self._latest is None else now - self._latest.stamp_ns
        return Context(
            tick=tick,
            now_ns=now,
            period_s=self.period_s,
            measured=self._measured(),
            stream_ages_ns=ages,
            last_policy_ns=self.worker.last_well_ns(now),
            estop=self.estop,
        )

    def _measured(self) -> np.ndarray | None:
        payloads = []
        for index in self._puppets:
            ring = self.sync.rings[self.streams[index].name]
            if not ring.payloads:
                return None
            payloads.append(ring.payloads[-1])
        measured: np.ndarray = self.layout.state(payloads)[POSITION]
        return measured

    def _send(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if outcome.command is None or self.dry_run:
            return
        self.commands.send(self.commands.encode(outcome.command.positions, outcome.command.base))

    def _explain(self, outcome: Outcome) -> None:
        holds = [i for i in outcome.interventions if outcome.holding]
        if holds:
            self.trouble("holding", "holding: " + "; ".join(f"{i.name}: {i.reason}" for i in holds))
        else:
            self.recovered("holding")

    def _on_estop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Set: hold at once and end the episode. Release: nothing moves until it is started again."""
        self.estop = request.data
        if self.estop:
            self._send(self.actor.send(None, self._circumstances(self._tick_of(self.now_ns()), 0)))
            self.session.autostart = False
            if self.session.state is State.RECORDING:
                self.command(Ask.STOP)
        response.success = True
        response.message = "e-stop set, the robot holds" if self.estop else "e-stop released; start again to move"
        self.get_logger().warning(response.message)
        return response

    def save(self) -> Future[Path | None]:
        """The episode ends: hold, and keep its recording if there is one."""
        self._release = RELEASE_TICKS
        for key in ("observation", "holding", "policy"):
            self.recovered(key)
        jumps = self.actor.jumps()
        if jumps:
            self.get_logger().info(f"jumps between commands: p99 {jumps['p99']:.4f}, largest {jumps['max']:.4f}")
        return self.rollout.close(self.success)

    def discard(self) -> Future[None]:
        """The episode ends: hold, and drop its recording."""
        self._release = RELEASE_TICKS
        return self.rollout.discard()

    def _watch_closing(self, now: int) -> None:
        if self._release <= 0:
            super()._watch_closing(now)

    def figures(self) -> dict[str, object]:
        """Timing and interventions."""
        state = self.session.state.value
        if self.session.state is State.RECORDING:
            state = "holding" if self.outcome is not None and self.outcome.holding else "running"
        counts: Mapping[str, int] = self.actor.safety.counts
        return {
            "state": "e-stop" if self.estop else state,
            "policy": self.config.type,
            "dry run": self.dry_run,
            "rate [Hz]": f"{self.deadlines.rate_hz:.1f}",
            "latency [ms]": self.latency.words(),
            "tick [ms]": self.tick_time.words(),
            "jitter [ms]": self.deadlines.jitter.words(),
            "interventions": ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "none",
        }

    def on_shutdown(self) -> None:
        """Whatever ended the node: arms held, base at zero."""
        if self.session.state is not State.IDLE or self._moving:
            self._send(self.actor.send(None, self._circumstances(self._tick_of(self.now_ns()), 0)))
        self.worker.close()
        super().on_shutdown()


def main() -> None:
    """Entry point of the executable `policy`."""
    run(PolicyNode)


if __name__ == "__main__":
    main()
