"""The ROS side of `nodes.environment`: one thread that listens, synchronises, and sends what safety lets through."""

from __future__ import annotations

import queue
import threading
import traceback
from typing import Any

import rclpy
from rclpy.context import Context as RosContext
from rclpy.executors import ExternalShutdownException
from std_msgs.msg import Bool, Float32
from std_srvs.srv import Trigger

from vgil_ros.core.contract import Contract
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import ExecutionOptions, make_direct_pipeline
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command, Outcome
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.core.sync.stall_grace import StallGrace
from vgil_ros.nodes.base.alerts import summary
from vgil_ros.nodes.base.node import VgilNode, make_ros_executor
from vgil_ros.nodes.environment.mailbox import Newest, Request, Topics, Turn
from vgil_ros.nodes.messages.publishers import WATCH_S, RobotCommands
from vgil_ros.nodes.messages.subscriptions import StreamInputs


class Driver:
    """The node, its own rclpy context, and the thread that spins it. Methods are for the caller's thread."""

    def __init__(
        self,
        contract: Contract,
        layout: Layout,
        topics: Topics,
        options: ExecutionOptions,
        domain_id: int | None,
        namespace: str,
    ) -> None:
        self._context = RosContext()
        signals = rclpy.signals.SignalHandlerOptions.NO
        rclpy.init(context=self._context, domain_id=domain_id, signal_handler_options=signals)
        try:
            self._node = DriverNode(self._context, contract, layout, topics, options, namespace)
        except BaseException:
            rclpy.try_shutdown(context=self._context)
            raise
        self.streams, self.turns = self._node.streams, self._node.turns
        self._serial = 0
        self._stop = threading.Event()
        self._executor = make_ros_executor(self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="environment", daemon=True)
        self._thread.start()

    @property
    def missing(self) -> tuple[str, ...]:
        """In words: the streams that are not there."""
        return self._node.missing

    def begin(self) -> int:
        """Count ticks from now on; returns the number that their turns carry."""
        return self._request(begin=True)

    def act(self, command: Command) -> int:
        """Ask for a command until the next one; returns the number of the turns after it."""
        return self._request(command)

    def rest(self) -> int:
        """Hold the arms where they are commanded, the base at rest, then send nothing."""
        self._node.rested.clear()
        return self._request()

    def _request(self, command: Command | None = None, begin: bool = False) -> int:
        self._serial += 1
        self._node.requests.put(Request(self._serial, command, begin))
        return self._serial

    def reset_scene(self, seconds: float) -> None:
        """Call the reset service, once the robot that was to rest is let go of: what is set back must not be pulled.

        Raises:
            VgilError: where nobody offers it, it does not answer in time, or it refuses; where the robot does not rest.
        """
        client = self._node.reset_client
        if not self._node.rested.wait(seconds):
            raise VgilError(f"the robot is still being held after {seconds:g} s; give a longer timeout_s")
        if not client.wait_for_service(timeout_sec=seconds):
            raise VgilError(f"nobody offers {client.srv_name}; waited for {seconds:g} s")
        answered = threading.Event()
        self._node.scene_resets = True
        try:
            future = client.call_async(Trigger.Request())
            future.add_done_callback(lambda _: answered.set())
            if not answered.wait(seconds):
                raise VgilError(f"{client.srv_name} did not answer within {seconds:g} s")
        finally:
            self._node.scene_resets = False
        response: Any = future.result()
        if not response.success:
            raise VgilError(f"{client.srv_name} refused: {response.message}")

    def close(self) -> None:
        """End the thread, then hold the robot once more and leave."""
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._node.end()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        try:
            while not self._stop.is_set():
                self._node.spin_once(self._executor)
        except ExternalShutdownException as error:
            self.turns.fail(error)
        except BaseException as error:
            traceback.print_exc()
            self.turns.fail(error)


class DriverNode(VgilNode):
    """A turn each period: what was asked for is judged and sent, then ripe ticks are handed over."""

    def __init__(
        self,
        context: RosContext,
        contract: Contract,
        layout: Layout,
        topics: Topics,
        options: ExecutionOptions,
        namespace: str = "",
    ) -> None:
        super().__init__("environment", context=context, namespace=namespace)
        self.period_s = 1.0 / contract.rate_hz
        self.streams = streams_of(contract, masters=False)
        self.sync = Synchronizer(self.streams, contract.sync, contract.rate_hz, simulated=self.simulated)
        self.inputs = StreamInputs(self, contract, self.sync)
        self.commands = RobotCommands(self, layout, self.period_s)
        self.loop = ControlLoop(self.sync, make_direct_pipeline(options, layout, self.streams))
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.turns = Newest()
        self.missing: tuple[str, ...] = ()
        self.scene_resets = False  # set by the caller's thread: the robot may be put somewhere else at any time
        self.reset_client: Any = self.create_client(Trigger, topics.reset) if topics.reset else None
        if topics.reward:
            self.create_subscription(Float32, topics.reward, self._on_reward, 10)
        if topics.success:
            self.create_subscription(Bool, topics.success, self._on_success, 10)
        self._reward, self._success = 0.0, False
        self._serial = 0
        self._asked: Command | None = None
        self._asked_serial = 0
        self._resting = False  # held until the command stands, then let go of
        self.rested = threading.Event()  # that has been done since the caller's thread has cleared this
        self._begin: tuple[int, int] | None = None  # from when on, and for which request
        self._begun = False  # the first complete tick has come
        self._not_following = ""  # in words: the joints that did not, until the next begin
        self._contested = ""  # in words: who else commands the robot, from when that was seen to the next begin
        # No sample from before a begin is near enough to the first tick.
        self._settle_ns = max(spec.tolerance_ns + spec.latency_ns for spec in self.streams)
        self.sync.start(self.inputs.now_ns())
        self._stall_grace = StallGrace(round(self.period_s * 1e9))
        self.control_timer(self.period_s, self._turn)
        self.background_timer(0.2, self._look_around)
        self.background_timer(WATCH_S, self._watch_commands)

    def _on_reward(self, message: Float32) -> None:
        self._reward = float(message.data)

    def _on_success(self, message: Bool) -> None:
        self._success = message.data

    def _look_around(self) -> None:
        missing = self.inputs.missing(self.inputs.now_ns())
        if self._asked is not None and not self.commands.sent:
            missing += self.commands.unheard()
        words = ("the robot is still being held, until its command stands",) if self._resting else ()
        self.missing = (*(problem.detail for problem in missing), *words)

    def _turn(self) -> None:
        now = self.inputs.now_ns()
        while not self.requests.empty():
            self._obey(self.requests.get(), now)
        if self.scene_resets:
            self.inputs.scene_was_reset()
        if self._begin is not None and not self._resting:
            looked, disorder = self.commands.looked(not self.sync.missing(now)), self.commands.disorder()
            if now >= self._begin[0] and looked and not (disorder and self.commands.asking()):
                self._start(now, self._begin[1])
        ticks = self._ripe_ticks(now)  # observed before the command is judged, handed over after it is sent
        if self._resting:
            self._rest_on()
        elif self._asked is not None and self._heard(now):
            self._serial = self._asked_serial
            self._send(self._asked, now)
        for tick in ticks:
            self._hand_over(tick)

    def _ripe_ticks(self, now: int) -> list[Sample | Miss]:
        ticks: list[Sample | Miss] = []
        if by_ns := self.clock_set_ns():
            ticks.append(self.sync.clock_set(now, by_ns))
        by = self._stall_grace.time(now)
        while (tick := self.sync.sample(by)) is not None:
            if isinstance(tick, Sample):
                self._begun = True
                self.loop.observe(tick)
            elif not self._begun:  # nothing to go on from yet: begin a moment later
                self.sync.start(now)
                continue
            ticks.append(tick)
        return ticks

    def _obey(self, request: Request, now: int) -> None:
        if request.begin:
            self._begin = (now + self._settle_ns, request.serial)
        elif request.command is not None:
            if self._contested or self._resting:
                self._serial = request.serial
                return
            self.commands.take()
            self._asked, self._asked_serial = request.command, request.serial
            self.loop.heard(now)
        else:
            self.rest()

    def _start(self, now: int, serial: int) -> None:
        self._serial, self._begin, self._begun = serial, None, False
        self._reward, self._success, self._not_following = 0.0, False, ""
        self._contested = summary(self.commands.contested() + self.commands.disorder())
        if self.reset_client is not None:
            self.inputs.scene_was_reset()
        self.loop.begin(now)

    def _hand_over(self, tick: Sample | Miss) -> None:
        lost, blocked = "", "; ".join(filter(None, (self._contested, self._not_following)))
        if isinstance(tick, Miss) and tick.action == "abort":
            lost = "; ".join(map(self.inputs.explain, tick.streams))
        self.turns.put(Turn(self._serial, tick, self._reward, self._success, lost, blocked))

    def _watch_commands(self) -> None:
        """Where another node commands the robot too: hold once more, let go of it, and end the episode."""
        if self.commands.taken and (contested := self.commands.contested()):
            self._contested = f"{summary(contested)}: held, and let go of; reset once it is gone"
            self.log(self._contested, severity="error")
            if self.commands.sent:
                self._hold()
            self._let_go()

    def _heard(self, now: int) -> bool:
        """Whether commands arrive: the topics were taken a moment ago, and the first one must."""
        if self.commands.sent or self.commands.heard():
            self.clear("unheard")
            return True
        self.loop.heard(now)  # it is not the caller who is silent
        self.commands.wait(self)  # the caller waits no longer than for any other tick, and is told the same
        return False

    def rest(self) -> None:
        """Hold the arms where they are commanded, the base at rest, until the command stands; then let go of the robot.

        A joint that does not follow is commanded to where it is first. Where nothing was sent yet, nothing is sent.
        """
        if self.commands.sent:
            self._asked, self._resting = None, True
        else:
            self._let_go()

    def _rest_on(self) -> None:
        if not self._hold():
            self.commands.settle()
            self._let_go()

    def _let_go(self) -> None:
        self._asked, self._resting = None, False
        self.commands.let_go()
        self.rested.set()
        self.clear("holding")
        self.clear("unheard")

    def end(self) -> None:
        """What `rest` does, at once. Called once the thread that spins has ended."""
        if self.commands.sent:
            self.commands.hold_and_end(self._hold)
        self._let_go()

    def _hold(self) -> bool:
        """Send a hold; returns whether the command is still on its way to where it stays."""
        outcome = self.loop.hold(self.inputs.now_ns())
        self._publish(outcome)
        return outcome.settling

    def _send(self, command: Command, now: int) -> None:
        """Judge a command, and publish it."""
        self.loop.fault = self.commands.fault
        outcome = self.loop.send(command, now)
        if outcome.holding:
            words = "; ".join(f"{i.name}: {i.reason}" for i in outcome.safety_events)
            self.warn_once("holding", f"holding: {words}")
            self._not_following = outcome.operator_needed or ""
        else:
            self.clear("holding")
        self._publish(outcome)

    def _publish(self, outcome: Outcome) -> None:
        if outcome.command is not None:
            self.commands.send(self.commands.encode_safe(outcome))
