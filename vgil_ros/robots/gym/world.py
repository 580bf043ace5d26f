"""A Gymnasium environment in its own time: what its robot's nodes would publish, by ticks. See `robots.sim.simulation`.

Everything is measured at the tick itself, and a command acts from that tick to the next: one step of the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.layout import Layout, master_reader, puppet_reader
from vgil_ros.core.streams import Kind, StreamSpec, streams_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.robots.gym.environment import DONE, GymError, GymRobot, resized
from vgil_ros.robots.operators import Operator, make_operator
from vgil_ros.robots.sim.simulation import START_NS, Undrawn


@dataclass
class GymImage(Undrawn):
    """One camera at one tick.

    gym-aloha's physics cannot be asked for its past: once the environment has gone on, only what was drawn is there.
    """

    robot: GymRobot
    camera: str
    count: int
    _drawn: np.ndarray | None = field(default=None, repr=False)

    def image(self) -> np.ndarray:
        """What the camera saw, (H, W, 3) uint8 RGB, read-only.

        Raises:
            GymError: where the environment has gone on before anybody asked.
        """
        if self._drawn is None:
            if self.robot.count != self.count:
                raise GymError(
                    f"image of '{self.camera}' at step {self.count} is gone; allowed: to look before the next step"
                    f" (now it is step {self.robot.count}), or every_image=True"
                )
            image = np.ascontiguousarray(self.robot.render(self.camera))
            image.setflags(write=False)
            self._drawn = image
        return self._drawn


class GymWorld:
    """Steps an environment and feeds the synchroniser. One thread owns it.

    Args:
        contract: the robot.
        task: the environment's id.
        operator: whether a scripted operator moves the masters; with gym-aloha its demonstration goes on where the
            environment, done, would end the episode.
        streams: what is synchronised; everything, with the masters where there is an operator, by default.
        every_image: draw each tick's images, also those that nobody may ask for: where some are asked for later.

    Raises:
        VgilError: where the environment cannot be used, or has no operator.
    """

    begin_steps = (0, 0)  # whoever records or acts begins at the reset: it is measured then, too
    max_reward = DONE

    def __init__(
        self,
        contract: Contract,
        task: str,
        *,
        operator: bool,
        streams: tuple[StreamSpec, ...] | None = None,
        every_image: bool = False,
    ) -> None:
        self.contract, self.layout = contract, Layout(contract)
        self.streams = streams_of(contract, masters=operator) if streams is None else streams
        self.robot = GymRobot(contract, task)
        self.robot.goes_on = operator and self.robot.tells_of_things
        self.operator: Operator | None = make_operator(self.robot) if operator else None
        self._every_image = every_image
        self._images = [spec.name for spec in self.streams if spec.kind is Kind.IMAGE]
        self._period_ns = contract.period_ns
        self._readers = {arm.name: (puppet_reader(arm), master_reader(arm)) for arm in contract.arms}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed."""
        self.robot.reset(seed)
        if self.operator is not None:
            self.operator.reset(seed)
        self.rng = np.random.default_rng([seed, 2])
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz)
        self.states: dict[str, np.ndarray] = {}
        self._masters: dict[str, np.ndarray] = {}
        self._measure()

    @property
    def count(self) -> int:
        """Steps since the reset."""
        return self.robot.count

    @property
    def now_ns(self) -> int:
        """The environment's time."""
        return START_NS + self.count * self._period_ns

    @property
    def seconds(self) -> float:
        """The environment's time since the reset."""
        return self.robot.time

    @property
    def over(self) -> bool:
        """Whether the environment has ended the episode, and does not go on."""
        return self.robot.over and not self.robot.goes_on

    def command(self, action: np.ndarray, base: np.ndarray | None = None) -> None:
        """Send an action (>= D,), in its own units, to act from now to the next tick."""
        for layout, position in zip(self.layout.arms, self.layout.commands(action), strict=True):
            self.command_arm(layout.arm.name, position)

    def command_arm(self, arm: str, position: np.ndarray) -> None:
        """Send one puppet to `position` (J,) in the contract's units."""
        layout = self.robot.layout_of(arm)
        self.robot.action[layout.columns] = layout.command.normalise(position)

    def advance(self) -> None:
        """One step of the environment: it moves, its sensors are read.

        Raises:
            GymError: where it has ended the episode.
        """
        for layout in self.layout.arms:
            if layout.arm.name in self._masters:  # teleoperation without delay
                action = layout.master.normalise(self._masters[layout.arm.name])
                self.command_arm(layout.arm.name, layout.command.restore(action))
        self.robot.step()
        self._measure()

    def ticks(self) -> list[Sample | Miss]:
        """The ticks that have become complete."""
        complete = []
        while (tick := self.sync.sample(self.now_ns)) is not None:
            complete.append(tick)
        return complete

    def _measure(self) -> None:
        masters = {} if self.operator is None else self.operator.masters()
        for arm in self.contract.arms:
            puppet, master = self._readers[arm.name]
            state = self.robot.joint_states(arm.name)
            self._push(puppet.stream, puppet.read(state.names, state.position, state.velocity, state.effort))
            if masters:
                position = masters[arm.name]
                velocity = (position - self._masters.get(arm.name, position)) * self.contract.rate_hz
                self._push(master.stream, master.read(arm.master_joints, position, velocity))
        self._masters = masters
        for name in self._images:
            image = GymImage(self.robot, name, self.count)
            if self._every_image:
                image.image()
            self.sync.push(name, self.now_ns, image)

    def _push(self, stream: str, payload: np.ndarray) -> None:
        self.states[stream] = payload
        self.sync.push(stream, self.now_ns, payload)

    def draw(self, camera: str, height: int, width: int) -> np.ndarray:
        """What a camera sees now, (H, W, 3) uint8 RGB: for videos."""
        return resized(self.robot.render(camera), height, width)

    def close(self) -> None:
        """Free the environment."""
        self.robot.close()
