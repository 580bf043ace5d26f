"""Conductor of a trial: keys, robot and journal on the one hand, the session that decides on the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Protocol

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.trials.journal import Journal
from vgil_ros.evaluation.trials.session import Attempt, TrialEffect, TrialSession, TrialState
from vgil_ros.nodes.trial.policy_process import PolicyProcess
from vgil_ros.nodes.trial.robot import TrialRobot
from vgil_ros.nodes.trial.start_images import StartGuide

TURN_S = 0.05
COMES_UP_S = 300.0  # a policy that has not come up by then does not
HINDERED_S = 20.0  # then the operator is told what stands against a start, by trying it
AGAIN_S = 1.0  # between two tries to start what was refused, where no operator tries, or to stop


class PressedKeys(Protocol):
    """Where keys come from; `nodes.base.keyboard.Keys` is."""

    def pressed(self) -> list[str]:
        """The keys since the last call."""


class Conductor:
    """Runs a trial to its end, or until it is interrupted.

    Args:
        session: decides.
        journal: keeps.
        robot, policies, guide: are told what to do.
        parameters: the policy node's, but for its checkpoint.
        keys: of the operator.
        tell: shows the operator a line.
    """

    def __init__(
        self,
        session: TrialSession,
        journal: Journal,
        robot: TrialRobot,
        policies: PolicyProcess,
        guide: StartGuide,
        parameters: Mapping[str, object],
        keys: PressedKeys,
        tell: Callable[[str], None],
    ) -> None:
        self._session, self._journal, self._robot = session, journal, robot
        self._policies, self._guide, self._parameters = policies, guide, dict(parameters)
        self._keys, self._tell = keys, tell
        self._scene_due = False
        self._came_up = False  # the policy at hand has been there once
        self._blinded = session.plan.blinded
        self._stopped = True  # the policy has taken the last stop
        self._since = self._again = 0.0
        self._longest = 0.0  # that a policy took to come up, so far: how long it takes does not tell which one it is
        self._told = ""

    def run(self) -> None:
        """Until it is over.

        Raises:
            VgilError: a policy does not come up; what was written stays.
        """
        session = self._session
        self._do(session.begin())
        while session.state is not TrialState.DONE:
            try:
                self._turn()
                time.sleep(TURN_S)
            except KeyboardInterrupt:
                self._do(session.quit())
        self._write_attempts()  # one whose label Ctrl-C came right after
        if session.reason in ("decided", "max"):
            self._journal.write("end", {"reason": session.reason})
        self._tell(session.words())

    def _turn(self) -> None:
        session = self._session
        for key in self._keys.pressed():
            self._do(session.key(key))
        state = session.state
        if state is TrialState.PREPARING:
            self._prepare()
        elif state is TrialState.READY:
            self._check_alive()
            if session.plan.reset == "sim" and time.monotonic() > self._again:
                self._do(session.start())
        elif state in (TrialState.RUNNING, TrialState.ENDING):
            self._watch()
        if state in (TrialState.PREPARING, TrialState.READY) and session.plan.reset == "operator":
            self._guide.look(session.attempt.block)
        self._show()

    def _show(self) -> None:
        words = self._session.words()
        if self._session.state is TrialState.READY and self._guide.shift is not None:
            words += f" [{self._guide.shift.words()}]"
        if words != self._told:
            self._told = words
            self._tell(words)

    def _do(self, effects: tuple[TrialEffect, ...]) -> None:
        session = self._session
        for effect in effects:
            if effect is TrialEffect.PREPARE:
                self._bring_up(session.attempt)
            elif effect is TrialEffect.START:
                self._start(session.attempt)
            elif effect is TrialEffect.STOP:
                self._stop()
            elif effect is TrialEffect.WRITE:
                self._write_attempts()

    def _write_attempts(self) -> None:
        for record in self._session.records[self._journal.attempts :]:
            self._journal.write("attempt", asdict(record))

    def _bring_up(self, attempt: Attempt) -> None:
        source = self._session.plan.contenders[attempt.contender].source
        if self._policies.bring_up({**self._parameters, "checkpoint": source}):
            self._robot.forget_policy()
        self._since, self._came_up = time.monotonic(), False
        self._scene_due = self._session.plan.reset == "sim"

    def _check_alive(self) -> None:
        waits = self._session.plan.reset == "sim" or self._session.state is TrialState.PREPARING
        if not self._policies.alive or (waits and time.monotonic() - self._since > COMES_UP_S):
            raise VgilError(
                f"the policy did not come up; {self._policies.log} says why, and which one it was; allowed: one"
                " that does, run the trial again once that is mended"
            )

    def _prepare(self) -> None:
        self._check_alive()
        if self._scene_due and self._robot.rests:
            seed = self._session.plan.scene_seed + self._session.attempt.block
            self._scene_due = not self._robot.set_scene(seed)
        robot, waited = self._robot, time.monotonic() - self._since
        if self._scene_due or not (robot.ready or (robot.rests and waited > HINDERED_S)):
            return
        if robot.ready and not self._came_up:
            self._came_up, self._longest = True, max(self._longest, waited)
        if waited >= self._longest or not self._blinded:
            self._do(self._session.prepared())

    def _start(self, attempt: Attempt) -> None:
        before = self._robot.live()
        ok, words = self._robot.start()
        if ok:
            self._guide.keep(attempt.block, before)
        else:
            self._tell(f"not started: {words}")
            self._session.refused()
            self._again = time.monotonic() + AGAIN_S

    def _stop(self) -> None:
        """Have the policy stop; until it has taken that, `_watch` tries again."""
        self._stopped = False  # should Ctrl-C come before its answer
        self._stopped, words = self._robot.call("stop")
        self._again = time.monotonic() + AGAIN_S
        if not self._stopped:
            self._tell(f"not stopped: {words}")

    def _watch(self) -> None:
        if not self._policies.alive:
            self._tell("the policy node has ended by itself")
            self._do(self._session.ended("the policy node ended by itself", self._robot.success))
        elif self._robot.has_ended:
            words = self._robot.words if "the episode ends" in self._robot.words else ""
            self._do(self._session.ended(words, self._robot.success))
        elif self._session.state is TrialState.ENDING and not self._stopped and time.monotonic() > self._again:
            self._stop()
