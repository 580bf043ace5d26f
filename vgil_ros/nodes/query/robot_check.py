"""Listens to a robot for a few seconds, as the recorder would, and reports what it heard. It publishes nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from rclpy.context import Context

from vgil_ros.core.contract import Contract
from vgil_ros.core.frame import Frame
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec
from vgil_ros.nodes.messages.array_order import array_orders
from vgil_ros.nodes.messages.publishers import gripper_modes
from vgil_ros.nodes.query.listening import RobotListener, listen_to
from vgil_ros.robots.robot_check import Heard, Looks, RobotFinding, Verdict, check_robot

LOOK_S = 0.1
MESSAGES = "interbotix_xs_msgs"  # of the driver whose grippers have modes


class Listener(RobotListener):
    """Remembers what stood against each stream of a contract."""

    tool = "robot_check"

    def __init__(
        self,
        context: Context,
        contract: Contract,
        namespace: str,
        clock: str | None,
        streams: tuple[StreamSpec, ...] | None = None,
    ) -> None:
        super().__init__(context, contract, namespace, clock, streams)
        self._offsets: dict[str, float] = {}
        self._looks: dict[str, Looks] = {}  # at a stream, since it was first heard
        self._before: dict[str, str] = {}  # what stood against it before
        self._orders = array_orders(self, Layout(contract), range(len(contract.arms)))
        self._modes = gripper_modes(self, contract.arms) if importlib.util.find_spec(MESSAGES) else None
        self.background_timer(LOOK_S, self._look_around)

    def look(self) -> None:
        """Called between messages: how far stamps are from now, at the least."""
        if self.simulated:  # /clock may come after the samples that it stamps: delays say nothing
            return
        now = self.now_ns()
        for name, age_ns in self.sync.ages(now).items():
            if age_ns is not None:
                self._offsets[name] = min(self._offsets.get(name, float("inf")), age_ns / 1e6)

    def _look_around(self) -> None:
        """What stands against each stream now; a machine that is busy may keep all of them waiting for a moment."""
        now = self.now_ns()
        wrong = {problem.key.split(" ")[0]: problem.detail for problem in self.inputs.missing(now)}
        wrong |= {name: f"{name}: {words}" for name, words in self.sync.refusals.standing(now).items()}
        for order in self._orders:
            order.problem()
        for name in (spec.name for spec in self.streams):
            if self.sync.newest(name) is not None:
                self._looks.setdefault(name, Looks()).add(wrong.get(name))
            elif name in wrong:  # the middleware may be slow to find what is there
                self._before[name] = wrong[name]

    def findings(self) -> list[RobotFinding]:
        """What was heard, judged."""
        unheard = [topic for _, topic, heard_by in self.commands() if not heard_by]
        found = check_robot(self.contract, self.streams, self.heard(), unheard)
        return found + self._order_findings() + self._mode_findings()

    def heard(self) -> dict[str, Heard]:
        """What was heard of each stream."""
        now = self.now_ns()
        self._look_around()
        wrong = self._before | {name: looks.wrong for name, looks in self._looks.items()}
        heard = {spec.name: self._heard(spec, wrong.get(spec.name), now) for spec in self.streams}
        for problem in self.inputs.duplicate_publishers():
            name = problem.detail.split(":")[0]
            heard[name] = Heard(heard[name].rate_hz, problem.detail)
        return heard

    def _order_findings(self) -> list[RobotFinding]:
        """Whether arrays are in the order of the controllers that take them."""
        findings = []
        for order in self._orders:
            about, problem = f"{order.arm}/command", order.problem()
            if order.unheard:  # that is said of its topic
                continue
            if problem is not None:
                findings.append(RobotFinding(about, Verdict.NO_GO, problem.detail))
            elif order.known:
                findings.append(
                    RobotFinding(about, Verdict.GO, "its values are in the order of its controller's joints")
                )
            elif order.untold:
                findings.append(RobotFinding(about, Verdict.LOOK, order.untold))
        return findings

    def _mode_findings(self) -> list[RobotFinding]:
        """Whether grippers behind Interbotix' driver take what the contract commands."""
        if self._modes is None:
            groups = [arm for arm in self.contract.arms if arm.command.type == "interbotix_group"]
            words = f"{MESSAGES} is not installed: nothing can command it, and its gripper's mode is not known"
            return [RobotFinding(f"{arm.name}/command", Verdict.NO_GO, words) for arm in groups]
        findings = []
        for mode in self._modes:
            if (problem := mode.problem()) is not None:
                findings.append(RobotFinding(mode.about, Verdict.NO_GO, problem))
            elif mode.mode is not None:
                findings.append(RobotFinding(mode.about, Verdict.GO, f"in mode '{mode.mode}', which takes rad"))
            else:
                findings.append(RobotFinding(mode.about, Verdict.LOOK, "its driver said nothing of its mode"))
        return findings

    def _heard(self, spec: StreamSpec, wrong: str | None, now: int) -> Heard:
        rate, newest = self.inputs.rate(spec.name, now), self.sync.newest(spec.name)
        if newest is None:
            return Heard(rate, wrong or f"{spec.name}: nothing received")
        payload, offset = newest[1], self._offsets.get(spec.name)
        if isinstance(payload, Frame):
            return Heard(rate, wrong, offset, None, f"{payload.height}x{payload.width} {payload.encoding}")
        count = payload.shape[-1]
        content = f"{count} {'joints' if payload.ndim > 1 else 'numbers'}"
        return Heard(rate, wrong, offset, payload if payload.ndim > 1 else None, content)


def listen(contract: Contract, namespace: str, seconds: float, progress: Callable[[float], None]) -> list[RobotFinding]:
    """Listen to a robot, and judge it.

    Args:
        contract: the robot.
        namespace: of its nodes; "" for none.
        seconds: for how long.
        progress: called now and then with the seconds that have passed.
    """
    return listen_to(lambda c, clock: Listener(c, contract, namespace, clock), seconds, progress, Listener.findings)
