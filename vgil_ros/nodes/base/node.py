"""The base of every node: one executor thread, clean ends, parameters, warnings that do not flood.

The main thread waits for signals while one other thread spins the executor, so that Ctrl-C is answered at once and
no callback ever runs beside another.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from types import FrameType
from typing import Any, TypeVar

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.commanders import twins
from vgil_ros.core.sync.clocks import ClockWatch
from vgil_ros.nodes.base import timing
from vgil_ros.nodes.base.alerts import Problem, Severity, summary
from vgil_ros.nodes.base.parameters import RENAMED_PARAMETERS, RENAMED_VALUES, Parameter, refuse_unknown
from vgil_ros.nodes.base.scheduler import DeadlineScheduler
from vgil_ros.nodes.dds import profile as transport

T = TypeVar("T")

ROBOT_DOC = "contract: a name in config/robots, or a path to a .yaml file"  # the parameter that every node has

LOOK_S = 1.0  # between two looks for another node of the same name
SPIN_S = 0.1  # how soon the executor's thread sees that it is to end

CLOSE_NS = 1_000_000  # between the readings of two clocks that are compared

# A SIGTERM so soon after another is the same: the kernel sends one for each thread of a launcher that dies.
ECHO_S = 1.0


def make_ros_executor(context: Context | None = None) -> Executor:
    """The events executor where rclpy has it (less than half the CPU), the single-threaded one elsewhere."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


class VgilNode(Node):
    """A node that can end its own process, and warns of each condition once."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.ended = threading.Event()
        self.exit_code = 0
        self._active_warnings: dict[str, str] = {}
        self._warned_of: defaultdict[str, frozenset[Hashable]] = defaultdict(frozenset)  # what warnings were about
        self._scheduler = DeadlineScheduler()
        # a list while turns run: a line in the log takes 0.5 ms
        self._pending_lines: list[tuple[str, Severity]] | None = None
        self._declared: list[str] = []
        self._clock_watch = ClockWatch()
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        self.background_timer(LOOK_S, self._look_for_twins)

    def declare(
        self,
        name: str,
        default: T,
        *,
        doc: str,
        low: float | None = None,
        high: float | None = None,
        choices: Sequence[str] | None = None,
        read_only: bool = True,
    ) -> T:
        """Declare a parameter and return its value.

        Args:
            name: as it is given.
            default: its value where none is given; its type is the parameter's.
            doc: what it is, with its unit.
            low, high: the range of a number, both ends allowed.
            choices: the texts that are allowed.
            read_only: False only where the node looks at the value again while it runs.

        Raises:
            VgilError: for a value of another type or one that is not allowed.
        """
        parameter = Parameter(name, default, doc, low, high, choices, read_only)
        self._declared.append(name)
        given = self._parameter_overrides
        self._take_old_spelling(name)
        if name in given:
            value = parameter.checked(given[name].value)
            given[name] = RosParameter(name, value=value)
        found: T = self.declare_parameter(name, default, parameter.descriptor()).value
        return found

    def is_given(self, name: str) -> bool:
        """Whether a parameter was given a value, be it its default's."""
        return name in self._parameter_overrides

    def _take_old_spelling(self, name: str) -> None:
        """Let a parameter be given by the name, and the value, that it had in the release before, and warn of that."""
        given = self._parameter_overrides
        for old in [old for old, new in RENAMED_PARAMETERS.items() if new == name and old in given]:
            if name in given:
                raise VgilError(f"parameter '{old}' is the old name of '{name}', and both are given; allowed: one")
            self.log(f"parameter '{old}' is called '{name}' now; the next release refuses it", severity="warning")
            given[name] = RosParameter(name, value=given.pop(old).value)
        renamed = RENAMED_VALUES.get(name, {})
        if name in given and (old := given[name].value) in renamed:
            new = renamed[old]
            self.log(
                f"parameter '{name}': '{old}' is called '{new}' now; the next release refuses it", severity="warning"
            )
            given[name] = RosParameter(name, value=new)

    def refuse_unknown_parameters(self) -> None:
        """Called once the node has declared what it has.

        Raises:
            VgilError: for parameters that were given and do not exist.
        """
        refuse_unknown(self.get_name(), list(self._parameter_overrides), self._declared)

    def now_ns(self) -> int:
        """The node's clock: /clock where use_sim_time is set, else the system's, read without the way through rclpy."""
        return int(self.get_clock().now().nanoseconds) if self._simulated else time.time_ns()

    def clock_set_ns(self) -> int:
        """By how much (ns) the computer's clock was set since the last call, below 0 for back; 0 where it was not.

        /clock is no clock of the computer's. Two readings that something came between are no evidence.
        """
        if self._simulated:
            return 0
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        return self._clock_watch.saw(wall, after) if after - before < CLOSE_NS else 0

    @property
    def full_name(self) -> str:
        """`/NAME`, or `/NAMESPACE/NAME`: what its services and statuses begin with."""
        return str(self.get_fully_qualified_name())

    def twin(self) -> str | None:
        """In words: whether another node has this one's name, and with it its services."""
        if not twins(self.get_node_names_and_namespaces(), (self.get_name(), self.get_namespace())):
            return None
        return (
            f"another node is called {self.full_name} too, a call to its services reaches both; give one of them a"
            " namespace (namespace:=r2), or end it"
        )

    def _look_for_twins(self) -> None:
        if (words := self.twin()) is not None:
            self.warn_once("name", words)
        else:
            self.clear("name")

    def control_timer(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back on absolute deadlines: by /clock where use_sim_time is set, else by a clock that nobody sets.

        On the system's clock a timer would stand still for as long as that is set back, and the robot with it. The
        deadlines are kept here: the events executor has another thread wait for its timers, two that can be late.
        """
        if self._simulated:
            self.create_timer(period_s, callback)
        else:
            self._scheduler.control_timer(period_s, callback)

    def background_timer(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back about so often, by a clock that nobody sets, while no control timer is near."""
        self._scheduler.background_timer(period_s, callback)

    def spin_once(self, executor: Executor) -> None:
        """Wait for what comes next, a callback of ROS or a turn, and do it; at most `SPIN_S`."""
        executor.spin_once(timeout_sec=self._scheduler.wait_s(time.monotonic(), SPIN_S))
        pending: list[tuple[str, Severity]] = []
        self._pending_lines = pending
        try:
            self._scheduler.run(time.monotonic())
        finally:
            self._pending_lines = None
            for words, severity in pending:
                self.log(words, severity=severity)

    def log(self, words: str, *, severity: Severity = "info") -> None:
        """Log a line; one from within a control timer comes right after it."""
        if self._pending_lines is not None:
            self._pending_lines.append((words, severity))
        elif severity == "error":  # three lines: rclpy refuses a second severity from one
            self.get_logger().error(words)
        elif severity == "warning":
            self.get_logger().warning(words)
        else:
            self.get_logger().info(words)

    def finish(self, code: int = 0) -> None:
        """Ask the process to end with this exit code. May be called from any thread."""
        if not self.ended.is_set():
            self.exit_code = code
            self.ended.set()

    def interrupted(self) -> None:
        """Called in the main thread on Ctrl-C or SIGTERM, while the executor still spins. Ends the process."""
        self.finish(0)

    def on_shutdown(self) -> None:
        """Called once in the main thread, after the executor has stopped and before the node is destroyed."""

    def warn_once(self, key: str, message: str) -> None:
        """Warn once for as long as the condition `key` lasts, however often it is met."""
        if key not in self._active_warnings:
            self.log(message, severity="warning")
        self._active_warnings[key] = message

    def wait_for(self, problems: tuple[Problem, ...]) -> None:
        """Warn of what is waited for, under the key `waiting`; again when it is something else."""
        keys = frozenset(problem.key for problem in problems)
        if keys != self._warned_of["waiting"]:
            self.forget("waiting")
        self.warn_about("waiting", keys, f"waiting for: {summary(problems)}")

    def warn_about(self, key: str, about: frozenset[Hashable], message: str) -> None:
        """Warn once for as long as the condition `key` lasts, and again when it is `about` something not told yet.

        Args:
            about: what it concerns, such as joints; figures that change by themselves do not belong to it.
        """
        told = self._warned_of[key] if key in self._active_warnings else frozenset()
        if not about <= told:
            self.forget(key)
        self._warned_of[key] = told | about
        self.warn_once(key, message)

    def clear(self, key: str) -> None:
        """Log that the condition `key` is over, if it was warned of."""
        if self._active_warnings.pop(key, None) is not None:
            self.log(f"{key}: recovered")

    @property
    def simulated(self) -> bool:
        """Whether the node's clock is /clock."""
        return self._simulated

    @property
    def active_warnings(self) -> tuple[str, ...]:
        """Messages of the conditions that last."""
        return tuple(self._active_warnings.values())

    def forget(self, key: str) -> None:
        """Let the next warning of `key` be said although the condition lasts: what it says has changed."""
        self._active_warnings.pop(key, None)


class _Signals:
    """Turns SIGINT and SIGTERM into an event, and counts them: a second one does not wait any longer."""

    def __init__(self) -> None:
        self.received = threading.Event()
        self.count = 0
        self._terminated = float("-inf")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            before, self._terminated = self._terminated, time.monotonic()
            if self._terminated - before < ECHO_S:
                return
        self.count += 1
        self.received.set()


def run(factory: Callable[[], VgilNode], *, control: bool = False) -> None:
    """Make a node, spin it until it finishes or is interrupted, and leave the process with its exit code.

    A VgilError while the node is made is printed as one message and ends the process with code 2.

    Args:
        factory: makes the node.
        control: whether a control loop shares the process with other work, and goes before it. This is where the
            process as a whole is changed (priority, switching, garbage collection); a node's constructor never does.
    """
    signals = _Signals()
    _prepare_transport()
    if control:
        timing.prefer_control()
    rclpy.init(args=sys.argv, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    try:
        code = _run(factory, signals, control)
    except VgilError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 2
    finally:
        rclpy.try_shutdown()
    sys.exit(code)


def _prepare_transport() -> None:
    """Where no launch file did it (`ros2 run`), choose the DDS profile that carries images."""
    if transport.chosen(os.environ):
        return
    plan = transport.prepare(os.environ)
    os.environ.update(plan.environment)
    for message in plan.messages:
        print(f"transport: {message}", file=sys.stderr, flush=True)


def _run(factory: Callable[[], VgilNode], signals: _Signals, control: bool) -> int:
    node = factory()
    try:
        node.refuse_unknown_parameters()
        if control:
            timing.freeze_garbage()
            node.background_timer(1.0, timing.collect_garbage)
        _spin_until_ended(node, signals, control)
    finally:
        node.on_shutdown()
        node.destroy_node()
    return node.exit_code


def _spin_until_ended(node: VgilNode, signals: _Signals, control: bool) -> None:
    executor = make_ros_executor()
    executor.add_node(node)
    stop = threading.Event()
    arguments = (executor, node, stop, control)
    spinner = threading.Thread(target=_spin, args=arguments, name="executor", daemon=True)
    spinner.start()
    answered = 0
    while not node.ended.wait(0.02):
        if signals.count > answered:
            answered = signals.count
            node.interrupted()
    stop.set()
    spinner.join(timeout=2.0)


def _spin(executor: Executor, node: VgilNode, stop: threading.Event, control: bool) -> None:
    """Spin until told to stop. A callback that raises ends the process with its trace, not in silence.

    With a time limit each time: EventsExecutor.spin() without one turns at full speed and dispatches nothing on
    rclpy 9.1 (Kilted).
    """
    try:
        if control and (why := timing.set_realtime()) is not None:
            node.log(f"no real-time priority for the control loop ({why}): ticks of a busy machine may be late")
        while not stop.is_set():
            node.spin_once(executor)
    except ExternalShutdownException:
        pass
    except VgilError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        node.finish(2)
    except BaseException:
        node.finish(1)
        raise
