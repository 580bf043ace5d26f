"""Brings a robot up, watches over its motors, and lays it down at the end: only then is the torque taken off.

What is done, in which order, and what is made of every answer is in `core.bringup`; this node calls, moves and tells.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from std_srvs.srv import Trigger

from vgil_ros.assets import load_contract
from vgil_ros.core.bringup import interbotix
from vgil_ros.core.bringup.health import Health, look
from vgil_ros.core.bringup.leaders import leaders_of
from vgil_ros.core.bringup.services import call_all
from vgil_ros.core.bringup.steps import Call, CloseGrippers, Move, Steps
from vgil_ros.core.bringup.units import units_of
from vgil_ros.core.bringup.watch import ENDED, SLEEPING, UP, WAKING
from vgil_ros.core.control.poses import PoseCourse, waypoints
from vgil_ros.core.errors import VgilError
from vgil_ros.core.gripper_trigger import GripperTrigger
from vgil_ros.core.layout import POSITION
from vgil_ros.nodes.base import status
from vgil_ros.nodes.base.alerts import summary
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.safety_options import safety_options
from vgil_ros.nodes.hardware.mover import Mover
from vgil_ros.nodes.hardware.service_calls import ServiceCalls
from vgil_ros.nodes.hardware.step_runner import StepRunner

ASLEEP, FAILED = "asleep", "failed"
HEALTH_S = 1.0
STATUS_S = 0.2
PATIENCE_S = 20.0  # for streams to come, and for another node to let go of the robot
ECHO_S = 1.0  # a launcher and a terminal may both pass on one Ctrl-C
OLD_NS = 500_000_000  # a gripper that was measured before this is not looked at


class Bringup(VgilNode):
    """A robot from its cradle to its operator, and back."""

    def __init__(self) -> None:
        super().__init__("bringup")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        doc = "bring the leaders up too; false where their drivers do not run, as for a policy"
        leaders = self.declare("leaders", True, doc=doc)
        doc = "wait until the operator has closed all leader grippers before the leaders lose their torque"
        self.ceremony = self.declare("ceremony", True, doc=doc)
        doc = "share of the velocity limits at which the arms go to their poses"
        self.speed = self.declare("speed", 0.15, low=0.001, high=0.5, doc=doc)
        self.units = units_of(self.contract, leaders=leaders)
        lying = [arm.name for arm in self.contract.arms if arm.sleep is None]
        if (self.units or self.contract.disable) and lying:
            raise VgilError(
                f"arm {lying} has no `sleep`: bringup takes its torque off there; arms[i].sleep must be given"
            )
        options = replace(safety_options(self), soft_start=self.speed)
        self.calls = ServiceCalls(self)
        for one in (*self.contract.enable, *self.contract.disable):
            self.calls.prepare(Call(one.service, one.type, one.request))
        for unit in self.units:
            self.calls.prepare(unit.info())
        self.followers = Mover(self, self.contract, options, watched=False)
        led = leaders_of(self.contract, self.units)
        self.leaders = None if led is None else Mover(self, led, options, watched=False)
        self.steps = StepRunner(self.calls, self.log, self._act)
        self.looks = StepRunner(self.calls, self.log, self._act)
        self.health = Health()
        self.status = status.StatusPublisher(self, "~/status", self.contract.name)
        self._acting: Move | CloseGrippers | None = None
        self._since_s = 0.0
        self._trigger = GripperTrigger()
        self._moved = self._ending = False
        self._interrupts, self._interrupted_s = 0, float("-inf")
        self._state, self._words = WAKING, "the robot is being brought up"
        self.create_service(Trigger, "~/wake", self._on_wake)
        self.create_service(Trigger, "~/sleep", self._on_sleep)
        self.control_timer(self.followers.period_s, self._turn)
        self.background_timer(HEALTH_S, self._look)
        self.background_timer(STATUS_S, self._publish_status)
        self.refuse_unknown_parameters()  # before anything is set or moves
        self._wake()

    def _wake(self) -> None:
        self._enter(WAKING, "the robot is being brought up")
        self.steps.start(self._wake_steps(), lambda _: self._woken(), self._fail)

    def _wake_steps(self) -> Steps[None]:
        yield from call_all(self.contract.enable)
        if self.units:
            yield from interbotix.wake(self.contract, self.units, ceremony=self.ceremony)
        else:
            yield Move("wake", leaders=False)

    def _woken(self) -> None:
        self.health = Health()
        self._enter(UP, "the robot is up")
        ends = "Ctrl-C lays it down; hold on to the leaders, they move too" if self.leaders else "Ctrl-C lays it down"
        self.log(f"robot {self.contract.name} is up, and its motors are watched; {ends}")

    def _sleep(self) -> None:
        self.looks.stop()
        self._enter(SLEEPING, "the robot lies down")
        self.steps.start(self._sleep_steps(), lambda _: self._slept(), self._fail)

    def _sleep_steps(self) -> Steps[None]:
        if self.units:
            yield from interbotix.lie_down(self.contract, self.units)
        else:
            yield Move("sleep", leaders=False)
        yield from call_all(self.contract.disable)

    def _slept(self) -> None:
        self._moved = False
        self._enter(ASLEEP, f"the robot lies; {self.full_name}/wake (vgil call wake) brings it up again")
        self.log("the robot lies" + (", its torque is off" if self.units else ""))
        if self._ending:
            self.finish(0)

    def _fail(self, words: str) -> None:
        """Whatever moves is held where it is; the torque stays as it is."""
        asleep = self._state == SLEEPING
        self._leave()
        self._enter(FAILED, words)
        self.log(f"not {'asleep' if asleep else 'up'}: {words}", severity="error")
        if self._ending:
            self.finish(1)
        else:
            self.log(f"mend it, then {self.full_name}/wake (vgil call wake), or Ctrl-C", severity="error")

    def _enter(self, state: str, words: str) -> None:
        self._state, self._words = state, words
        self._publish_status()

    def _on_wake(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self._wake, "the robot is brought up; bringup's status tells when it is")

    def _on_sleep(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self._sleep, "the robot lies down; bringup's status tells when it does")

    def _answer(self, response: Trigger.Response, begin: Any, words: str) -> Trigger.Response:
        busy = self.steps.busy
        response.success = not busy
        response.message = f"not now, bringup is {self._state}: {self._words}; call again later" if busy else words
        if not busy:
            begin()
        return response

    # what the sequences ask for

    def _act(self, step: Move | CloseGrippers) -> None:
        self._acting, self._since_s = step, time.monotonic()
        self._trigger = GripperTrigger(armed=True)

    def _turn(self) -> None:
        if self.ended.is_set():
            return
        if self._interrupts and not self._ending:
            self._end()
        if isinstance(self._acting, Move):
            self._move(self._acting)
        elif isinstance(self._acting, CloseGrippers) and self._grippers_closed():
            self._acting = None
            self.steps.go_on()

    def _movers(self, step: Move) -> Sequence[Mover]:
        return (self.followers, self.leaders) if step.leaders and self.leaders else (self.followers,)

    def _move(self, step: Move) -> None:
        movers = self._movers(step)
        if not movers[0].started and not self._begin(step, movers):
            return
        for mover in movers:
            if not mover.done:
                mover.turn()
        wrong = [mover.failure for mover in movers if mover.failure is not None]
        wrong += [summary(contested) for mover in movers if (contested := mover.contested())]
        if wrong:
            self._stop_acting("; ".join(wrong))
        elif all(mover.done for mover in movers):
            self._leave()
            self.steps.go_on()

    def _begin(self, step: Move, movers: Sequence[Mover]) -> bool:
        problems = tuple(problem for mover in movers for problem in mover.problems())
        if problems:
            self.wait_for(problems)
            if time.monotonic() - self._since_s > PATIENCE_S:
                self._stop_acting(summary(problems))
            return False
        self.clear("waiting")
        self._moved = True
        for mover in movers:
            sleeps = any(arm.sleep for arm in mover.layout.contract.arms)
            pose = step.pose if step.pose != "sleep" or sleeps else "home"  # of a robot that keeps its torque
            mover.begin(PoseCourse(mover.layout, waypoints(mover.layout, pose), self.speed))
        return True

    def _stop_acting(self, words: str) -> None:
        self._leave()
        self.steps.fail(words)

    def _leave(self) -> None:
        self._acting = None
        for mover in (self.followers, self.leaders):
            if mover is not None:
                mover.leave()

    def _grippers_closed(self) -> bool:
        """Whether the operator has closed every leader's gripper, and keeps it so."""
        assert self.leaders is not None
        now, widths = self.now_ns(), []
        for arm in self.leaders.layout.arms:
            if arm.gripper_column is None:
                continue
            newest = self.leaders.sync.newest(f"{arm.arm.name}/puppet")
            if newest is None or now - newest[0] > OLD_NS:
                return False
            widths.append(arm.state.normalise(newest[1][POSITION])[arm.gripper_column - arm.columns.start])
        return self._trigger.update(now, np.array(widths))

    # health

    def _look(self) -> None:
        driver = self.contract.driver
        if driver is None or self._state != UP or self.looks.busy:
            return
        self.looks.start(look(self.units, driver), self._looked, self._not_looked)

    def _looked(self, health: Health) -> None:
        if health.holds and health.holds != self.health.holds:
            self.log(f"the robot is to be held: {health.holds}", severity="error")
        elif self.health.holds and not health.holds:
            self.log("motors: recovered")
        if health.warns:
            self.warn_once("motors", health.warns)
        else:
            self.clear("motors")
        news = health.holds != self.health.holds
        self.health = health
        if news:
            self._publish_status()

    def _not_looked(self, words: str) -> None:
        self.warn_once("motors", words)

    def _publish_status(self) -> None:
        """The state; whoever moves the robot holds unless it is `up`, and while the level is ERROR."""
        level, words = status.WARN, self._words
        if self._state == FAILED:
            level = status.ERROR
        elif self._state == UP:
            level = status.ERROR if self.health.holds else status.WARN if self.health.warns else status.OK
            words = "; ".join(filter(None, (self.health.holds, self.health.warns))) or self._words
        values: dict[str, object] = {"state": self._state, "robot": self.contract.name}
        self.status.publish(level, words, values | self.health.figures)

    # the end

    def interrupted(self) -> None:
        """Ctrl-C lays the robot down; a second one leaves it as it is. In the main thread."""
        now = time.monotonic()
        if now - self._interrupted_s < ECHO_S:
            return
        self._interrupted_s = now
        self._interrupts += 1
        if self._interrupts > 1:
            self.log("ended at once: the robot is held by its driver, its torque as it is", severity="warning")
            self.finish(1)

    def _end(self) -> None:
        self._ending = True
        if self._state == SLEEPING:
            self.log("the robot lies down already; a second Ctrl-C leaves it as it is")
        elif self._moved or self._state == UP:
            self.log("the robot lies down, then its torque goes off; a second Ctrl-C leaves it as it is")
            self.steps.stop()
            self._leave()
            self._sleep()
        else:
            self.finish(1 if self._state == FAILED else 0)

    def on_shutdown(self) -> None:
        """Whatever still moves is held where it is."""
        for mover in (self.followers, self.leaders):
            if mover is not None and mover.started:
                mover.end()
        self._enter(ENDED, "bringup has ended")
        time.sleep(0.1)  # the last word is to arrive


def main() -> None:
    """Entry point of the executable `bringup`."""
    run(Bringup)


if __name__ == "__main__":
    main()
