"""Teleoperation on topics: each puppet follows its master, the base follows a Twist.

The law is `core.leader_follower`; who may command the robot, `core.graph.commanders`.
"""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Twist
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import SensorTopic
from vgil_ros.core.errors import VgilError
from vgil_ros.core.guard.following import not_following_words
from vgil_ros.core.guard.reading_guard import RESET_NS, guards_of
from vgil_ros.core.layout import (
    Affine,
    JointReader,
    Layout,
    master_reader,
    puppet_reader,
)
from vgil_ros.core.leader_follower import Phase, follower_of
from vgil_ros.core.streams import shared_topics
from vgil_ros.nodes.base import status
from vgil_ros.nodes.base.alerts import summary
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.messages.arm_readings import ArmReadings
from vgil_ros.nodes.messages.command_places import Encoded
from vgil_ros.nodes.messages.joint_subscriptions import JointSubscriptions
from vgil_ros.nodes.messages.publishers import WATCH_S, RobotCommands
from vgil_ros.nodes.messages.subscriptions import sensor_qos

BASE_STALE_NS = 250_000_000
LATE_TURNS = 2.0  # of the way that a turn may go
RELEASED = "released"  # the state of a node that was told to let go of the robot, or had to
ORDER = (Phase.BLOCKED, Phase.WAITING, Phase.READY, Phase.ALIGNING, Phase.FOLLOWING)  # the worst first


class Teleop(VgilNode):
    """Puppets follow masters."""

    def __init__(self) -> None:
        super().__init__("teleop")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        self.layout = Layout(self.contract)
        rate = self.declare("rate", 100.0, low=1.0, high=1000.0, doc="of the commands, Hz")
        doc = "move nothing until the operator has closed the master's gripper"
        wait_for_trigger = self.declare("wait_for_gripper", False, doc=doc)
        doc = "std_msgs/Empty, by which a simulator tells that it has reset its scene; empty: nobody does"
        reset_topic = self.declare("reset_topic", "", doc=doc)
        base_input = self.declare("base_input", "~/cmd_vel", doc="geometry_msgs/Twist for the base")
        self.arms = [
            (i, arm) for i, arm in enumerate(self.layout.arms) if arm.arm.master and not arm.arm.driver_follows_master
        ]
        if not self.arms:
            why = "its own driver follows the masters" if any(a.arm.master for a in self.layout.arms) else "no master"
            raise VgilError(f"robot '{self.contract.name}': {why}; teleop needs a puppet that it is to move")
        self.commands = RobotCommands(self, self.layout, 1.0 / rate, [i for i, _ in self.arms])
        self.followers = [follower_of(self.layout, arm, wait_for_trigger=wait_for_trigger) for _, arm in self.arms]
        self._reading_guards, self._joint_topics = guards_of(self.contract), JointSubscriptions(self, sensor_qos(10))
        self.masters = [self._state(master_reader(a.arm), a.arm.master, a.master, rate) for _, a in self.arms]
        self.puppets = [self._state(puppet_reader(a.arm), a.arm.puppet, a.state, rate) for _, a in self.arms]
        self._phases: list[Phase | None] = [None] * len(self.arms)
        self._targets: list[np.ndarray | None] = [None] * len(self.arms)  # sent by the last turn
        self._base: tuple[np.ndarray, int] | None = None
        self.status = status.StatusPublisher(self, "~/status", self.contract.name)
        if self.contract.base:
            self.create_subscription(Twist, base_input, self._on_twist, 10)
        if reset_topic:
            self.create_subscription(Empty, reset_topic, self._on_reset, 10)
        self._reset_ns: int | None = None
        self._base_input = self.resolve_topic_name(base_input)
        self._wanted = self._base_wanted = True  # whether it commands the robot, or its base, as soon as it may
        self._released = ""  # why it does not command the robot, where it is not wanted to
        self.create_service(Trigger, "~/start", self._on_start)
        self.create_service(Trigger, "~/stop", self._on_stop)
        self.background_timer(WATCH_S, self._watch_commands)
        self._last_ns, self._period_s = self.now_ns(), 1.0 / rate
        self.control_timer(self._period_s, self._step)
        self.background_timer(0.2, self._publish_status)

    def _state(self, reader: JointReader, at: SensorTopic | None, units: Affine, rate: float) -> ArmReadings:
        assert at is not None
        shared = at.topic in shared_topics(self.contract)
        guard = self._reading_guards.get(reader.stream)
        return ArmReadings(self, self._joint_topics, at, reader, guard, units, 1.0 / rate, shared)

    def _on_twist(self, message: Twist) -> None:
        wanted = np.array([message.linear.x, message.angular.z])
        if not np.isfinite(wanted).all():
            self.warn_once("base", f"base: velocity {wanted.tolist()} is not finite; not followed")
            return
        self.clear("base")
        self._base = (wanted, self.now_ns())

    def _step(self) -> None:
        now = self.now_ns()
        dt = min(max((now - self._last_ns) / 1e9, 0.0), LATE_TURNS * self._period_s)  # after a stall, no catching up
        self._last_ns = now
        if not self.commands.taken:
            self._forget()
            return
        if self._reset_ns is not None:
            if 0 <= now - self._reset_ns <= RESET_NS:  # states of the scene before may be on their way
                self.commands.send(self._base_message(now))
                return
            self._reset_ns = None
        well = not self.commands.fault
        for i, follower in enumerate(self.followers):
            master, puppet = self.masters[i].trusted(now), self.puppets[i].trusted(now)
            self._targets[i] = follower.step(now, dt, master if well else None, puppet)
            self._announce(i)
        self.commands.send(self._arm_messages() + self._base_message(now))

    def _forget(self) -> None:
        """The robot is not this node's: once it is, each puppet is aligned anew."""
        for i, follower in enumerate(self.followers):
            follower.release()
            self._targets[i] = self._phases[i] = None
        self._base = None

    def _on_reset(self, message: Empty) -> None:
        """Each puppet is aligned anew from where the reset has put it; the operator's trigger still holds."""
        self._reset_ns = self.now_ns()
        for state in (*self.masters, *self.puppets):
            state.scene_was_reset(self._reset_ns)
        for i, follower in enumerate(self.followers):
            follower.scene_was_reset()
            self._targets[i] = self._phases[i] = None

    def _watch_commands(self) -> None:
        """Take the robot once its drivers listen and no other node commands it; let go of it, for good, where one
        comes up, or a controller that takes its joints in another order."""
        if self.commands.taken:
            if contested := self.commands.contested(base=False) + self.commands.mismatched():
                words = f"{summary(contested)}: let go of; {self._how_to_start}"
                self._let_go(words)
                self.log(words, severity="error")
            elif self.commands.base_taken and (contested := self.commands.base_contested()):
                words = f"base: {summary(contested)}: let go of; {self._how_to_start}"
                self._let_go_of_base()
                self.warn_once("base commands", words)
        elif self._wanted and self.commands.looked(any(state.last for state in (*self.masters, *self.puppets))):
            if problems := self.commands.in_the_way(base=False):
                self.wait_for(problems)
                return
            self.clear("waiting")
            self.commands.take(base=False)
        if self.commands.taken and not self.commands.base_taken:
            self._take_base()

    def _take_base(self) -> None:
        """The base is this node's once somebody drives it through this node."""
        if self.contract.base is None or not self._base_wanted or not self.count_publishers(self._base_input):
            return
        if contested := self.commands.base_contested():
            self.warn_once("base commands", f"base: not driven: {summary(contested)}")
            return
        self.clear("base commands")
        self.commands.take()

    def _let_go(self, why: str) -> None:
        self._wanted, self._released = False, why
        if self.commands.taken:
            self._hold()
            self.commands.let_go()

    def _let_go_of_base(self) -> None:
        """The base stops, and is another node's; the arms go on."""
        self._base_wanted, self._base = False, None
        self.commands.send(self.commands.encode_base(np.zeros(2)))
        self.commands.let_go_of_base()

    @property
    def _how_to_start(self) -> str:
        return f"start again with {self.full_name}/start (vgil call start --node teleop)"

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        contested = () if self.commands.taken else self.commands.contested(base=False)
        if not contested:
            self._wanted = self._base_wanted = True
            self._released = ""
            self.forget("base commands")  # said anew where it is contested still
        response.success = not contested
        begun = "puppets follow their masters"
        if not self.commands.taken:  # it is, a second after the robot is heard, if nobody else commands it by then
            begun = "as soon as the robot is heard, and nobody else commands it, puppets follow their masters"
        response.message = f"not started: {summary(contested)}" if contested else begun
        self.log(response.message, severity="warning" if contested else "info")
        return response

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        why = f"the robot is let go of; {self._how_to_start}"
        self._let_go(why)
        self.forget("waiting")
        response.success, response.message = True, why
        self.log(response.message)
        return response

    def _arm_messages(self) -> Encoded:
        """The targets of this turn; none for an arm that holds by itself, as its master or puppet is silent."""
        messages: Encoded = []
        for (index, _), target in zip(self.arms, self._targets, strict=True):
            if target is not None:
                messages += self.commands.encode_arm(index, target)
        return messages

    def _base_message(self, now: int) -> Encoded:
        """A fresh velocity within limits; zero from a stale one or in a fault, once the base was driven at all."""
        if self._base is None or self.contract.base is None:
            return []
        limits = np.array([self.contract.base.limits.linear, self.contract.base.limits.angular])
        wanted, stamp = self._base
        driven = 0 <= now - stamp <= BASE_STALE_NS and not self.commands.fault
        return self.commands.encode_base(np.clip(wanted, -limits, limits) if driven else np.zeros(2))

    def _announce(self, i: int) -> None:
        phase, name = self.followers[i].phase, self.arms[i][1].arm.name
        if phase is self._phases[i]:
            return
        self._phases[i] = phase
        if phase is Phase.WAITING:
            self.log(f"{name}: holding: {self._why(i)}", severity="warning")
        elif phase is Phase.BLOCKED:
            self.log(f"{name}: holding: {self._blocked(i)}", severity="error")
        else:
            self.log(f"{name}: {phase.value}")

    def _publish_status(self) -> None:
        """Each arm's phase, and the worst as the state, or that it has let go: a recorder waits until all follow."""
        phases = {arm.arm.name: follower.phase for (_, arm), follower in zip(self.arms, self.followers, strict=True)}
        worst = min(phases.values(), key=ORDER.index)
        level = status.OK if worst is Phase.FOLLOWING else status.WARN
        told = (f"{name}: {phase.value}" for name, phase in phases.items()) if self._wanted else (self._released,)
        words = "; ".join((*told, *self.active_warnings))
        state = worst.value if self._wanted else RELEASED
        values: dict[str, object] = {"state": state, "robot": self.contract.name}
        self.status.publish(level, words, values | {f"phase_{name}": phase.value for name, phase in phases.items()})

    def _why(self, i: int) -> str:
        arm, now = self.arms[i][1].arm, self.now_ns()
        assert arm.master is not None
        reasons = [self.commands.fault] if self.commands.fault else []
        for topic, state in ((arm.master.topic, self.masters[i]), (arm.puppet.topic, self.puppets[i])):
            if (words := state.refused(now)) is not None:
                reasons.append(f"{topic}: {words}")
            elif state.last is None:
                strange = f" ({state.unheard_words})" if state.unheard_words else ""
                reasons.append(f"nothing received on {topic}{strange}")
            elif (age := now - state.last[1]) > self.followers[i].stale_ns:
                reasons.append(f"{topic} is {age / 1e6:.0f} ms old")
            elif age < -self.followers[i].stale_ns:
                reasons.append(f"{topic} is stamped {-age / 1e6:.0f} ms in the future")
        return ", ".join(reasons)

    def _blocked(self, i: int) -> str:
        """What does not follow, and what brings it back."""
        follower, arm = self.followers[i], self.arms[i][1]
        names, after_s = self.layout.joint_names[arm.columns], self.contract.following.after_s
        words = not_following_words(names, follower.blocked, follower.commanded, follower.measured, after_s)
        return f"{words}; look at the robot, then bring the master to where the puppet is"

    def on_shutdown(self) -> None:
        """Arms that this node was moving are held where they were commanded; the base stops, if it was driven."""
        if self.commands.taken and (self._base is not None or any(target is not None for target in self._targets)):
            self.commands.hold_and_end(self._hold)

    def _hold(self) -> None:
        driven = self._base is not None
        self.commands.send(self._arm_messages() + (self.commands.encode_base(np.zeros(2)) if driven else []))


def main() -> None:
    """Entry point of the executable `teleop`."""
    run(Teleop)


if __name__ == "__main__":
    main()
