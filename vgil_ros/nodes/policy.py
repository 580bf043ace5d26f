"""The policy node: observations in, a checkpoint's action chunks played safely, commands out.

It drives `core.control.ControlLoop` on the contract's rate: complete ticks from `core.sync` and answers of the
inference thread go in, a judged command comes out, is encoded for every topic, then published. The node itself decides
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
from std_msgs.msg import String
from std_srvs.srv import SetBool

from vgil_ros.core.control.context import measured_positions
from vgil_ros.core.control.doubt import DoubtMeter
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.policy_input import PolicyInput, checked_task
from vgil_ros.core.control.requests import InferenceRequest, InferenceResult
from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety import Outcome
from vgil_ros.core.session import LABELS, Reply, SessionCommand, SessionState
from vgil_ros.core.streams import StreamSpec, policy_streams, streams_of
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.core.sync.types import Reason
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.image_codec import to_rgb
from vgil_ros.episodes.writing.encoder import limit_opencv_threads
from vgil_ros.episodes.writing.sink import EpisodeEnd, Recording
from vgil_ros.nodes.base.alerts import Problem, summary
from vgil_ros.nodes.base.node import run
from vgil_ros.nodes.base.status import SafetyEventLog, percentiles
from vgil_ros.nodes.base.timing import Deadlines, Durations, Histogram
from vgil_ros.nodes.inference.setup import declare_policy, load_for, pipeline_for
from vgil_ros.nodes.inference.worker import InferenceWorker
from vgil_ros.nodes.messages.publishers import WATCH_S, RobotCommands
from vgil_ros.nodes.session.dataset_folder import DatasetFolder
from vgil_ros.nodes.session.recording import RolloutSink
from vgil_ros.nodes.session.session import SessionNode
from vgil_ros.nodes.session.takeover import HumanSide, Watch, declare_takeover, familiar_of
from vgil_ros.nodes.viz.chunk_publisher import ChunkView
from vgil_ros.policies.inference.runtime import limit_torch_threads

RELEASE_TICKS = 25  # an episode's end is held for this long before the node lets go of the topics
PATIENT_TICKS = 250  # and twice its length: a rollout that has not its rows by then is given up
LATE_NS = 1_000_000_000  # a first chunk that takes longer is spoken of


class PolicyNode(SessionNode):
    """Drives a robot with a checkpoint (see `core.session` for how a session goes)."""

    def __init__(self) -> None:
        # the policy gives the end marker: a stop is a stop
        super().__init__("policy", running="running", records=False)
        self.period_s = 1.0 / self.contract.rate_hz
        options = replace(self._options, following=not self.dry_run)  # what is not sent is not followed
        self.pipeline = pipeline_for(options, self.layout, self.config, self.streams)
        self.commands = RobotCommands(self, self.layout, self.period_s)
        builder = ObservationBuilder(self.layout, self.streams)
        self.input = PolicyInput(builder, self.config.camera_names, to_rgb, self.task, self.config.vector_names)
        self.human = self._human_side()
        self.rollout = RolloutSink.of(self, self._recording(), self.dry_run)
        self.view = ChunkView(self, self.layout, self.pipeline, self.period_s)
        self.worker = InferenceWorker(self.infer, self.runtime.reset)
        takeover = None if self.human is None else self.human.takeover
        self.loop = ControlLoop(self.sync, self.pipeline, self.config.obs_offsets, takeover)
        self.safety_events = SafetyEventLog(self)
        self.deadlines, self.tick_time, self.latency = Deadlines(self.period_s), Durations(4000), Durations()
        self.latencies, self.age = Histogram(), Durations()
        self.outcome: Outcome | None = None
        self._release = 0  # ticks that the robot is held yet, once an episode has ended
        self._played = 0  # ticks of the episode that had a command
        self._asked_of_ns = 0  # stamp of the observation that was handed to the policy last
        for command in (SessionCommand.START, SessionCommand.STOP, *LABELS):
            self.serve(command.value, command)
        self.serve("reset", SessionCommand.REDO)
        self.background_timer(WATCH_S, self._watch_commands)
        self.create_service(SetBool, "~/estop", self._on_estop)
        self.create_subscription(String, "~/task", self._on_task, 10)

    def choose_streams(self) -> tuple[StreamSpec, ...]:
        """Load the checkpoint and take the streams that it, or a recording, needs.

        Raises:
            VgilError: for every mismatch between checkpoint and robot; nothing has been sent then.
        """
        given = declare_policy(self)
        self.checkpoint = given.checkpoint
        self.dataset_dir = self.declare("dataset_dir", "", doc="rollouts are recorded there; empty: none is")
        self.dry_run = self.declare("dry_run", False, doc="compute and show, send nothing")
        self._takeover = declare_takeover(self)
        self.refuse_unknown_parameters()  # loading takes a while
        self.config, self.runtime, self._options = load_for(self, given, self.layout, self.task)
        everything = streams_of(self.contract, masters=False)
        return (
            everything
            if self.dataset_dir
            else policy_streams(self.contract, self.config.camera_names, self.config.vector_names)
        )

    def _recording(self) -> Recording | None:
        if not self.dataset_dir:
            return None
        folder = Path(self.dataset_dir).expanduser().absolute()
        made = Recording(
            self.contract,
            self.contract_text,
            self.streams,
            folder,
            task=self.task,
            words=self.spoken.words,
            takeover=self._takeover.wanted,
        )
        if not self.dry_run:
            self.folder = DatasetFolder(folder, self.contract, made.min_free_bytes, time.monotonic, go_on=True)
        return made

    def _human_side(self) -> HumanSide | None:
        if not self._takeover.wanted:
            return None
        doubt = DoubtMeter(self.period_s, familiar_of(self, self.checkpoint, self.layout.dim))
        watch = Watch(doubt, self.runtime, self._takeover.draws if self._options.draws is None else 1)
        if watch.draws > 1 and self.pipeline.executor.uses_prefix:
            self.log(
                f"execution {self._options.execution}: a request carries what is settled, and has one chunk: no"
                " disagreement among draws is known but while a human leads"
            )
        return HumanSide(self, self.layout, self._takeover, watch, self.take_over, self.hand_back)

    def infer(self, request: InferenceRequest) -> np.ndarray:
        """In the inference thread: a request's observation through the policy, chunk (H, A) or several (K, H, A)."""
        observation = self.input.observation(request)
        if self.human is not None:
            return self.human.watch.infer(request, observation)
        return self.runtime(observation) if request.draws == 1 else self.runtime.draw(observation, request.draws)

    def not_ready(self) -> tuple[Problem, ...]:
        """Missing streams, commands that nobody would hear or another node gives too, a twin, the e-stop, and masters
        that would take over by themselves."""
        stops = (
            (Problem("e-stop", f"the e-stop is set: release it with {self.full_name}/estop false"),)
            if self.loop.estop
            else ()
        )
        masters = () if self.human is None else self.human.hindrances()
        commanded = () if self.dry_run else self.commands.hindrances()
        return stops + self._twins() + masters + commanded + super().not_ready()

    def _twins(self) -> tuple[Problem, ...]:
        """Another policy node of the same name: whoever starts this one starts that one too."""
        return () if (words := self.twin()) is None else (Problem("name", words),)

    def command(self, command: SessionCommand) -> Reply:
        """As in every session; and a stop also ends what is only about to begin."""
        if command is SessionCommand.STOP and self.session.beginning:
            self.session.stand_down()
            self.get_logger().info("not starting")
            return Reply(True, "not starting")
        if command is SessionCommand.REDO and self.loop.estop:  # it would begin by itself at the release
            return Reply(False, f"nothing begins again while the e-stop is set: release it with {self.full_name}/estop")
        return super().command(command)

    def begin(self) -> None:
        """An episode begins: the ticks of synchroniser, chunks and commands are counted from now."""
        self.loop.begin(self.now_ns())
        if self.human is not None:
            self.human.watch.doubt.reset()
        self.worker.new_episode()
        self.rollout.open(self.session.episode_len, self.task, self.spoken.words)
        self._release = self._played = 0
        self.forget("ended")
        if not self.dry_run:
            self.commands.take()
        self.deadlines = Deadlines(self.period_s)
        mode = "dry run, nothing is sent" if self.dry_run else "the robot will move"
        self.get_logger().info(f"episode {self.session.saved + 1} begins: {mode}")

    def take(self, tick: Sample | Miss) -> None:
        """A complete tick becomes the newest observation; a missing stream is named, and safety holds when it lasts."""
        if isinstance(tick, Miss):
            if any(miss.reason is Reason.CLOCK for miss in tick.streams):
                self.log(f"{tick}: the ticks mean nothing any more, the episode ends", severity="error")
                self.abort(str(tick))
                return
            words = "; ".join(self.inputs.explain(m) for m in tick.streams)
            self.warn_once("observation", f"no observation: {words}")
            return
        self.clear("observation")
        number = self.loop.observe(tick)
        self.rollout.observe(number, tick)
        if self.human is not None:
            self.human.saw(number, measured_positions(self.sync, self.layout))

    def step(self) -> None:
        """One turn of the control loop."""
        began = time.perf_counter()
        running = self.session.state is SessionState.RUNNING
        if running:
            self.deadlines.turn(began)
        if self.human is not None:
            self.human.listen(self.now_ns())
        super().step()
        if running and self.session.state is SessionState.RUNNING:
            self._control()
            self.tick_time.add(time.perf_counter() - began)
        elif self.session.state is not SessionState.RUNNING and self.commands.taken:
            self._leave()
        if self.session.state is not SessionState.RUNNING:
            self.view.tick = None

    def _leave(self) -> None:
        """No episode runs: hold what was moved for a while yet, and to where it stays; then let go of the topics."""
        if self.commands.sent:
            self._hold()
            self._release -= 1
        if not self._held and not (self.commands.sent and self.loop.estop):
            self.commands.let_go()

    @property
    def _held(self) -> bool:
        """Whether the robot is held yet after an episode."""
        settling = self.outcome is not None and self.outcome.settling
        return self.commands.sent and (self._release > 0 or settling)

    def _hold(self) -> bool:
        """Send a hold; returns whether the command is still on its way to where it stays."""
        outcome = self.loop.hold(self.now_ns())
        self._send(outcome)
        return outcome.settling

    def _control(self) -> None:
        now = self.now_ns()
        self._hear(now)
        self._play(now)
        if self.session.state is SessionState.RUNNING and not self.worker.busy:
            # last: once awake, the inference thread takes its share of the processor's caches
            request = self.loop.request(now)
            if request is not None:
                self._asked_of_ns = request.sample.stamp_ns
                self.worker.submit(request)

    def _hear(self, now: int) -> None:
        """Take the inference thread's results, and warn of what is wrong with it."""
        loop = self.loop
        for result in self.worker.poll():
            late = self.pipeline.late
            if not loop.accept(result) or not isinstance(result, InferenceResult):
                continue
            self.latency.add(result.seconds)
            self.latencies.add(result.seconds)
            self.age.add((now - self._asked_of_ns) / 1e9)
            if self.pipeline.late > late:
                self.warn_once("late chunk", "a chunk came later than it was made for: it is faded in")
            else:
                self.clear("late chunk")
        if loop.error is not None:
            self.warn_once("no chunk", f"no chunk: {loop.error}")
        else:
            self.clear("no chunk")
        if (why := self.worker.failure) is not None:
            loop.fail(why)
            self.warn_once("policy", f"the inference thread has died: {why}; start anew after a look at it")

    def _play(self, now: int) -> None:
        """Send this tick's command, once there is a chunk."""
        loop = self.loop
        if not self.dry_run and not self.commands.sent and not self.commands.heard():
            if (deaf := self.commands.wait(self)) is not None:  # the first command must arrive
                self._end_for(deaf)
            return
        self.clear("unheard")
        loop.fault = "" if self.dry_run else self.commands.fault
        if self.human is not None:
            loop.masters = self.human.readings(now)
        outcome = loop.step(now)
        if outcome is None:
            if now - loop.ticks.origin_ns > LATE_NS:
                self.warn_once("first chunk", "still waiting for the policy's first chunk; nothing moves before it")
            return
        self.clear("first chunk")
        self.view.tick, self.view.stamp_ns = loop.tick + 1, loop.ticks.stamp_ns(loop.tick + 1)
        self._send(outcome)
        self.safety_events.log(outcome)
        if self.human is not None and loop.decision is not None:
            self.human.tell(loop.decision)
        if outcome.command is not None:
            self.rollout.acted(loop.tick, outcome.command, loop.decision, loop.proposal)
        if (words := outcome.operator_needed) is not None:
            self._end_for(words)
            return
        self._count_tick()
        if self.pipeline.ended and self.session.state is SessionState.RUNNING:
            self.get_logger().info("the policy says that the task is done")
            self.command(SessionCommand.STOP)

    def _count_tick(self) -> None:
        """A tick was played. Where a rollout is recorded, its rows are what is counted: of some ticks no observation
        comes, and a length that was asked for is the length that is written."""
        self._played += 1
        pairs, length = self.rollout.pairs, self.session.episode_len
        if pairs is None:
            self.sampled()
            return
        while self.session.state is SessionState.RUNNING and self.session.samples < pairs:
            self.sampled()
        if length and self.session.state is SessionState.RUNNING and self._played > 2 * length + PATIENT_TICKS:
            self.abort(f"of {self._played} ticks only {pairs} had an observation; {length + 1} are needed")

    def _send(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if outcome.command is None or self.dry_run:
            return
        self.commands.send(self.commands.encode_safe(outcome))

    def _end_for(self, why: str) -> None:
        """Somebody has to look at the robot: the episode ends here, and nothing begins by itself any more."""
        self.log(f"the episode ends: {why}", severity="error")
        for key in ("holding", "unheard"):  # it is not over
            self.forget(key)
        self._active_warnings["ended"] = why  # in the status until somebody starts again
        self.session.stand_down()
        self.abort(why)

    def _watch_commands(self) -> None:
        """Where another node commands the robot too: hold once more, let go of it, and end the episode."""
        contested = self.commands.contested() if self.commands.taken else ()
        if not contested:
            return
        self.log(f"{summary(contested)}: held, and let go of; start again once it is gone", severity="error")
        if self.commands.sent:
            self._hold()
        self.commands.let_go()
        self.session.stand_down()
        self.abort(summary(contested))

    def _on_estop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Set: hold at once and end the episode. Release: nothing moves until it is started again."""
        self.loop.estop = request.data
        if not self.loop.estop:
            self.clear("e-stop")
            self.session.stand_down()
        else:
            self.warn_once("e-stop", "the e-stop is set")
            if self.commands.sent:
                self._hold()
            self.session.stand_down()
            if self.session.state is SessionState.RUNNING:
                self.command(SessionCommand.STOP)
        holds = "the robot holds" if self.commands.sent else "this node was not moving the robot"
        response.success = True
        response.message = f"e-stop set, {holds}" if self.loop.estop else "e-stop released; start again to move"
        self.get_logger().warning(response.message)
        return response

    def _watch_reset(self, now: int) -> None:
        if self.human is not None and self.scene.under_way:
            self.human.scene_was_reset(now)
        super()._watch_reset(now)

    def take_over(self) -> Reply:
        """A human takes the arms of the running episode; at once, whoever is heard."""
        if self.session.state is not SessionState.RUNNING:
            return Reply(False, "nothing to take over: no episode runs")
        if not self.loop.take_over():
            return Reply(False, "the human has the arms already")
        return Reply(True, "the robot goes to the masters slowly, and follows them then")

    def hand_back(self) -> Reply:
        """The policy gets the arms back, and is asked anew."""
        if self.session.state is not SessionState.RUNNING:
            return Reply(False, "nothing to hand back: no episode runs")
        if self.loop.failure is not None:
            return Reply(False, f"the policy has died: {self.loop.failure}; stop, and start anew")
        if not self.loop.hand_back(self.now_ns()):
            return Reply(False, "the policy has the arms already")
        return Reply(True, "the policy is asked anew, and gets the arms back slowly")

    def _on_task(self, message: String) -> None:
        """A new instruction, from the next request on; a running rollout notes the row that it begins with."""
        try:
            self.new_task(message.data)
        except VgilError as error:
            self.log(str(error), severity="warning")

    def new_task(self, task: str) -> None:
        """As `/policy/task` or the parameter says."""
        task = checked_task(task, needed=self.config.needs_task)
        if task != self.task:
            self.task = self.input.task = self.spoken.task = task
            self.rollout.new_task(self.loop.tick, task)
            self.log(f"the task is now: {task or 'none'}")

    def save(self) -> Future[EpisodeEnd | None]:
        """The episode ends: hold, and keep its recording if there is one."""
        self._let_go()
        smoothness = self.pipeline.smoothness()
        if smoothness:
            self.get_logger().info(
                f"second differences of the commands: p99 {smoothness['p99']:.4f}, largest {smoothness['max']:.4f}"
            )
        label = self.session.label.verdict
        return self.rollout.close(self.success, label=label, aborted=self.aborted, warnings=self.notes.lines())

    def discard(self) -> Future[None]:
        """The episode ends: hold, and drop its recording."""
        self._let_go()
        return self.rollout.discard()

    def _let_go(self) -> None:
        """Hold for a while yet, and forget what was wrong in the episode, and who had the arms."""
        if self.human is not None:
            self.human.episode_ended()
        self._release = RELEASE_TICKS if self.commands.sent else 0
        for key in (
            "observation",
            "holding",
            "policy",
            "first chunk",
            "late chunk",
            "no chunk",
            "unheard",
            "master",
            "doubt",
        ):
            self.clear(key)

    def may_close(self) -> bool:
        """Once the robot is let go of."""
        return not self._held

    def figures(self) -> dict[str, object]:
        """Timing and safety events."""
        state = self.session.state_name
        if self.session.state is SessionState.RUNNING and self.outcome is not None and self.outcome.holding:
            state = "holding"
        counts = self.pipeline.safety.counts
        values: dict[str, object] = {
            "state": "e-stop" if self.loop.estop else state,
            "policy": self.config.type,
            "checkpoint": self.checkpoint,
            "dry_run": self.dry_run,
            "rate_hz": self.deadlines.rate_hz,
            "late_chunks": self.pipeline.late,
            "safety_events": sum(counts.values()),
            "last_safety_event": self.safety_events.reason,
        }
        values |= {f"safety_events_{name}": count for name, count in sorted(counts.items())}
        if self.human is not None:
            values |= self.human.figures(self.now_ns())
        for part, taken in self.runtime.latency_parts().items():
            values |= percentiles(f"latency_{part}", taken)
        for name, durations in (
            ("latency", self.latency),
            ("observation_age", self.age),
            ("tick", self.tick_time),
            ("jitter", self.deadlines.jitter),
        ):
            values |= percentiles(name, durations.percentiles())
        if histogram := self.latencies.text():
            values["latency_histogram"] = histogram
        return values

    def on_shutdown(self) -> None:
        """Whatever ended the node: arms held, base at zero."""
        if self.commands.sent:
            self.commands.hold_and_end(self._hold)
        if self.human is not None:
            self.human.close()
        self.runtime.close()
        self.worker.close()
        super().on_shutdown()


def main(node: Callable[[], PolicyNode] = PolicyNode) -> None:
    """Entry point of the executable `policy`; `node` makes another policy node in its place."""
    limit_opencv_threads()
    limit_torch_threads()
    run(node, control=True)


if __name__ == "__main__":
    main()
