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
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.scheduler import DeadlineScheduler
from vgil_ros.nodes.dds import profile as transport

T = TypeVar("T")

SPIN_S = 0.1  # how soon the executor's thread sees that it is to end

ECHO_S = (
    1.0  # a SIGTERM so soon after another is the same: the kernel sends one for each thread of a launcher that dies
)


def make_ros_executor(context: Context | None = None) -> Executor:
    """The events executor where rclpy has it (less than half the CPU), the single-threaded one elsewhere."""
    try:
        from rclpy.experimental import EventsExecutor
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
        self._scheduler = DeadlineScheduler()
        # a list while turns run: a line in the log takes 0.5 ms
        self._pending_lines: list[tuple[str, bool]] | None = None
        self._simulated = bool(self.get_parameter("use_sim_time").value)

    def declare(self, name: str, default: T) -> T:
        """Declare a parameter and return its value; the default fixes its type.

        Raises:
            VgilError: for a value of another type.
        """
        try:
            value: T = self.declare_parameter(name, default).value
        except rclpy.exceptions.InvalidParameterTypeException as error:
            raise VgilError(f"parameter '{name}': {error}; allowed: {type(default).__name__}") from error
        return value

    def now_ns(self) -> int:
        """The node's clock: /clock where use_sim_time is set, else the system's, read without the way through rclpy."""
        return int(self.get_clock().now().nanoseconds) if self._simulated else time.time_ns()

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
        pending: list[tuple[str, bool]] = []
        self._pending_lines = pending
        try:
            self._scheduler.run(time.monotonic())
        finally:
            self._pending_lines = None
            for words, warns in pending:
                self.log(words, warns=warns)

    def log(self, words: str, *, warns: bool = False) -> None:
        """Log a line; one from within a control timer comes right after it."""
        if self._pending_lines is not None:
            self._pending_lines.append((words, warns))
        elif warns:  # two lines: rclpy refuses a second severity from one
            self.get_logger().warning(words)
        else:
            self.get_logger().info(words)

    def spinning(self) -> None:
        """Called in the executor's thread before it spins."""

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
            self.log(message, warns=True)
        self._active_warnings[key] = message

    def clear(self, key: str) -> None:
        """Log that the condition `key` is over, if it was warned of."""
        if self._active_warnings.pop(key, None) is not None:
            self.log(f"{key}: recovered")

    @property
    def active_warnings(self) -> tuple[str, ...]:
        """Messages of the conditions that last."""
        return tuple(self._active_warnings.values())


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


def run(factory: Callable[[], VgilNode]) -> None:
    """Make a node, spin it until it finishes or is interrupted, and leave the process with its exit code.

    A VgilError while the node is made is printed as one message and ends the process with code 2.
    """
    signals = _Signals()
    _prepare_transport()
    rclpy.init(args=sys.argv, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    try:
        code = _run(factory, signals)
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


def _run(factory: Callable[[], VgilNode], signals: _Signals) -> int:
    node = factory()
    executor = make_ros_executor()
    executor.add_node(node)
    stop = threading.Event()
    spinner = threading.Thread(target=_spin, args=(executor, node, stop), name="executor", daemon=True)
    spinner.start()
    answered = 0
    try:
        while not node.ended.wait(0.02):
            if signals.count > answered:
                answered = signals.count
                node.interrupted()
        stop.set()
        spinner.join(timeout=2.0)
        node.on_shutdown()
    finally:
        node.destroy_node()
    return node.exit_code


def _spin(executor: Executor, node: VgilNode, stop: threading.Event) -> None:
    """Spin until told to stop. A callback that raises ends the process with its trace, not in silence.

    With a time limit each time: EventsExecutor.spin() without one turns at full speed and dispatches nothing on
    rclpy 9.1 (Kilted).
    """
    try:
        node.spinning()
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
