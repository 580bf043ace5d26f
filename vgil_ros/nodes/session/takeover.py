"""The human's side of a takeover: the masters' readings, and the ways to ask for the arms and to give them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from vgil_ros.assets import checkpoint_path
from vgil_ros.core.control.doubt import DoubtMeter, Familiar
from vgil_ros.core.control.requests import InferenceRequest
from vgil_ros.core.control.takeover import Actor, Decision, Reading, Takeover
from vgil_ros.core.graph.commanders import full_name
from vgil_ros.core.gripper_trigger import GripperTrigger
from vgil_ros.core.guard.reading_guard import guards_of
from vgil_ros.core.layout import Layout, master_reader
from vgil_ros.core.observation import RobotObservation
from vgil_ros.core.session import Reply
from vgil_ros.core.streams import shared_topics
from vgil_ros.nodes.base.alerts import Problem, summary
from vgil_ros.nodes.base.keyboard import Keys
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.arm_readings import ArmReadings
from vgil_ros.nodes.messages.joint_subscriptions import JointSubscriptions
from vgil_ros.nodes.messages.subscriptions import sensor_qos
from vgil_ros.policies.familiar import load_familiar
from vgil_ros.policies.inference.opening import Runner
from vgil_ros.policies.remote.address import is_remote

GRIPPER_DOC = "closing all masters' grippers, which were open, takes over too; of leader arms, not of jog's masters"
DRAWS_DOC = "with takeover: chunks that a policy that draws is asked for each time, to see how far they spread; 1: one"
TAKE, BACK = "t", "b"  # keys
COPYING = "jog"  # the node whose masters' grippers follow the puppets' while the policy has the arms
UNUSUAL = 1.0  # a score above this is spoken of


@dataclass(frozen=True)
class TakeoverParameters:
    """Whether a human can take over, and how one may ask for it beside the services."""

    wanted: bool
    gripper: bool
    keys: bool
    draws: int


def declare_takeover(node: VgilNode) -> TakeoverParameters:
    """Declare the parameters."""
    return TakeoverParameters(
        node.declare("takeover", False, doc="let a human take over by the masters, and hand back"),
        node.declare("takeover_gripper", False, doc=GRIPPER_DOC),
        node.declare("takeover_keys", True, doc="with takeover: t takes over, b hands back, in a terminal"),
        node.declare("takeover_draws", 4, low=1, high=64, doc=DRAWS_DOC),
    )


def familiar_of(node: VgilNode, checkpoint: str, joints: int) -> Familiar | None:
    """What is usual in a checkpoint's training data; None where its folder does not hold it.

    Raises:
        PolicyError: the file is damaged, or of a robot that has not so many joints.
    """
    found = None if is_remote(checkpoint) else load_familiar(checkpoint_path(checkpoint), joints)
    if found is None:
        node.log(
            "what is usual in the policy's training data is not known: no takeover_score (vgil checkpoint familiar)"
        )
    return found


@dataclass(frozen=True, eq=False)
class Watch:
    """Asks the policy, in the inference thread, and looks at how far it agrees with itself.

    Attributes:
        doubt: takes what is found.
        runner: the policy.
        draws: chunks that it is asked for at least; 1 of one that gives the same each time.
    """

    doubt: DoubtMeter
    runner: Runner
    draws: int

    def infer(self, request: InferenceRequest, observation: RobotObservation) -> np.ndarray:
        """As many chunks as were asked for: (H, A), or several (K, H, A).

        A request with a prefix has one, which says nothing of how far draws would spread: what is settled they share.
        """
        draws = 1 if request.prefix is not None else max(request.draws, self.draws)
        if draws == 1:
            chunk = self.runner(observation)
            if self.draws == 1:
                self.doubt.predicted(request.tick, chunk)
            else:
                self.doubt.not_drawn()
            return chunk
        chunks = self.runner.draw(observation, draws)
        self.doubt.predicted(request.tick, chunks, drawn=True)
        result: np.ndarray = chunks[0] if request.draws == 1 else chunks[: request.draws]
        return result


class HumanSide:
    """Listens to the masters and to whoever wants to take over.

    Services `~/takeover` and `~/hand_back` (std_srvs/Trigger); the keys t and b in a terminal; the contract's joystick,
    whose button takes over and hands back by turns; and, where wanted, closing the masters' grippers.

    Args:
        node: the policy node.
        layout: the robot.
        given: its parameters.
        watch: looks at the policy.
        take_over, hand_back: what they ask for; each answers in words.

    Attributes:
        takeover: decides.
        count: takeovers so far.

    Raises:
        VgilError: the robot has no master.
    """

    def __init__(
        self,
        node: VgilNode,
        layout: Layout,
        given: TakeoverParameters,
        watch: Watch,
        take_over: Callable[[], Reply],
        hand_back: Callable[[], Reply],
    ) -> None:
        contract, period_s = layout.contract, 1.0 / layout.contract.rate_hz
        self._take_over, self._hand_back, self.watch = take_over, hand_back, watch
        self._marker = contract.end_marker is not None
        self._node, self.takeover, self.count = node, Takeover(layout), 0
        self._arms = [layout.arms[i] for i in self.takeover.arms]
        topics, guards, shared = JointSubscriptions(node, sensor_qos(10)), guards_of(contract), shared_topics(contract)
        self._masters = []
        for arm in self._arms:
            at, reader = arm.arm.master, master_reader(arm.arm)
            assert at is not None
            guard = guards.get(reader.stream)
            among = at.topic in shared
            self._masters.append(ArmReadings(node, topics, at, reader, guard, arm.master, period_s, among))
        self._trigger = GripperTrigger() if given.gripper else None
        self._keys = Keys() if given.keys else None
        self._said, self._said_otherwise = Actor.POLICY, False
        node.create_service(Trigger, "~/takeover", self._serve(take_over))
        node.create_service(Trigger, "~/hand_back", self._serve(hand_back))
        self._button = None if contract.joystick is None else contract.joystick.takeover
        self._before: list[int] = []
        if contract.joystick is not None and self._button is not None:
            node.create_subscription(Joy, contract.joystick.topic, self._on_joy, 10)
        if self._keys is not None and self._keys.available:
            node.log("keys: t take over, b hand back")

    def _serve(self, command: Callable[[], Reply]) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def callback(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            reply = self._do(command)
            response.success, response.message = reply.ok, reply.message
            return response

        return callback

    def _do(self, command: Callable[[], Reply]) -> Reply:
        reply = command()
        self.count += reply.ok and self.takeover.led
        self._node.log(reply.message, severity="info" if reply.ok else "warning")
        return reply

    def _on_joy(self, message: Joy) -> None:
        before, self._before = self._before, list(message.buttons)
        place = self._button
        if place is None or place >= len(self._before) or not self._before[place]:
            return
        if not (place < len(before) and before[place]):
            self._do(self._hand_back if self.takeover.led else self._take_over)

    def listen(self, now_ns: int) -> None:
        """Take the keys that were pressed, and look at the grippers. Called once a turn."""
        for key in self._keys.pressed() if self._keys is not None else ():
            if key in (TAKE, BACK):
                self._do(self._take_over if key == TAKE else self._hand_back)
        if self._trigger is None:
            return
        if self.takeover.led:
            self._trigger.reset()
        elif self._trigger.update(now_ns, self._widths(now_ns)):
            if hindrances := self.hindrances():  # it came up after the start
                self._node.log(f"not taken over by the grippers: {summary(hindrances)}", severity="warning")
            else:
                self._do(self._take_over)

    def hindrances(self) -> tuple[Problem, ...]:
        """Masters whose grippers are to take over, and whose grippers the policy itself closes: they copy the puppets'.

        A grasp would be a takeover that nobody asked for.
        """
        if self._trigger is None:
            return ()
        found = []
        for arm in self._arms:
            assert arm.arm.master is not None
            topic = self._node.resolve_topic_name(arm.arm.master.topic)
            infos = self._node.get_publishers_info_by_topic(topic)
            names = [full_name(one.node_namespace, one.node_name) for one in infos if one.node_name == COPYING]
            if names and arm.gripper_column is not None:
                found.append(
                    Problem(
                        f"{arm.arm.name}/takeover_gripper",
                        f"takeover_gripper: the master of {arm.arm.name} is {names[0]}'s, whose gripper copies the"
                        " puppet's: a grasp of the policy would take over; allowed: takeover_gripper:=false, or a"
                        " leader arm",
                    )
                )
        return tuple(found)

    def _widths(self, now_ns: int) -> np.ndarray:
        """Openings (G,) of the masters' grippers, 0..1; none where one of them is not heard."""
        found = []
        for arm, reading in zip(self._arms, self.readings(now_ns), strict=True):
            if arm.gripper_column is None:
                continue
            if reading is None:
                return np.empty(0)
            found.append(reading[0][arm.gripper_column - arm.columns.start])
        return np.array(found)

    def readings(self, now_ns: int) -> list[Reading | None]:
        """The newest reading of each master; None before any, and while it is refused."""
        return [master.trusted(now_ns) for master in self._masters]

    def scene_was_reset(self, now_ns: int) -> None:
        """A simulator puts its robot, and its masters, somewhere else."""
        for master in self._masters:
            master.scene_was_reset(now_ns)

    def episode_ended(self) -> None:
        """Nobody leads any more: what comes next is the policy's."""
        self.takeover.reset()
        self._said = Actor.POLICY

    def saw(self, tick: int, positions: np.ndarray | None) -> None:
        """The robot was at positions (J,) at a tick. A policy beyond what is usual is a proposal to take over."""
        doubt = self.watch.doubt
        if positions is not None:
            doubt.observe(tick, np.append(positions, 0.0) if self._marker else positions)
        if doubt.otherwise and not self._said_otherwise:
            self._said_otherwise = True
            remedy = "`vgil checkpoint familiar` with --draws and --gap measures it anew"
            self._node.log(f"{doubt.otherwise}; {remedy}", severity="warning")
        score = doubt.score
        if score is not None and score > UNUSUAL and not self.takeover.led:
            what = f"disagreement {doubt.disagreement or 0.0:.2f}, novelty {doubt.novelty or 0.0:.2f}"
            self._node.warn_once("doubt", f"takeover proposed: score {score:.2f}, above 1 is unusual ({what})")
        else:
            self._node.clear("doubt")

    def tell(self, decision: Decision) -> None:
        """Say who has the arms when that changes, and what a hand-over waits for."""
        if decision.actor is not self._said:
            self._said = decision.actor
            self._node.log(f"the arms: {decision.actor.words}")
        if decision.waits and self.takeover.led:
            self._node.warn_once("master", f"holding: {decision.waits}")
        else:
            self._node.clear("master")

    def figures(self, now_ns: int) -> dict[str, object]:
        """For the status: who has the arms, how often they were taken, and whether each master is heard."""
        heard = zip(self._arms, self.readings(now_ns), strict=True)
        fresh = {
            f"master_{arm.arm.name}": "heard" if one is not None and now_ns - one[1] < 10**9 else "silent"
            for arm, one in heard
        }
        doubt = self.watch.doubt
        told = {"takeover_score": doubt.score, "disagreement": doubt.disagreement, "novelty": doubt.novelty}
        known: dict[str, object] = {key: value for key, value in told.items() if value is not None}
        known |= {"score_lacks": doubt.otherwise} if doubt.otherwise else {}
        return {"actor": self.takeover.actor.words, "takeovers": self.count, **fresh, **known}

    def close(self) -> None:
        """Give the terminal back."""
        if self._keys is not None:
            self._keys.close()
