"""A Gymnasium environment that goes on by seconds and is commanded arm by arm, as `robots.sim.robot.SimRobot` is."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.robots.commands import CommandError, checked_command
from vgil_ros.robots.gym.environment import GymRobot


class SteppedGymRobot(GymRobot):
    """A `GymRobot` for the node `sim`: one step of the environment in each period of the contract's rate.

    Where the environment has ended the episode it stands still until it is reset; gym-aloha's own go on, as a
    demonstration does that is shown to its end.

    Raises:
        GymError: see `GymRobot`.
    """

    def __init__(self, contract: Contract, name: str, seed: int = 0) -> None:
        super().__init__(contract, name, seed)
        self.goes_on = self.tells_of_things

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed."""
        super().reset(seed)
        self._owed = 0.0  # steps that were asked for and not yet made, below one

    @property
    def stands(self) -> bool:
        """Whether nothing moves any more: the episode is over, and the environment cannot go on."""
        return self.over and not self.goes_on

    def command(self, arm: str, position: np.ndarray) -> None:
        """Send a puppet to `position` (J,) in the contract's order and units; it is clipped to the limits.

        Raises:
            CommandError: for an unknown arm, another length, or values that are not finite.
        """
        values = checked_command(self.contract, arm, position)
        layout = self.layout_of(arm)
        self.action[layout.columns] = layout.command.normalise(values)

    def commanded(self, arm: str) -> np.ndarray:
        """Return where a puppet was sent last, (J,)."""
        layout = self.layout_of(arm)
        position: np.ndarray = layout.command.restore(self.action[layout.columns])
        return position

    def go_on(self, dt: float) -> None:
        """Go on by `dt` seconds, in whole steps; what is less than a step is kept for the next call."""
        self._owed += dt * self.contract.rate_hz
        while self._owed > 1.0 - 1e-6:
            self._owed -= 1.0
            if not self.stands:
                self.step()

    def drive(self, linear: float, angular: float) -> NoReturn:
        """Refuse to drive: there is no base."""
        raise CommandError(f"robot '{self.contract.name}' has no base")
