"""Brings a robot to a pose of its contract, or holds it where it is, through the same safety limits as a policy."""

from __future__ import annotations

from dataclasses import replace

from vgil_ros.assets import load_contract
from vgil_ros.core.control.poses import POSES, PoseCourse, waypoints
from vgil_ros.nodes.base.alerts import summary
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.safety_options import safety_options
from vgil_ros.nodes.hardware.mover import Mover
from vgil_ros.nodes.messages.publishers import WATCH_S


class Posture(VgilNode):
    """Moves slowly from wherever the robot is, inward first where that is outside its limits, and ends at the pose."""

    def __init__(self) -> None:
        super().__init__("posture")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        doc = (
            "home: the contract's; wake: its start; sleep: by way of home to its sleep; hold: where it is, until Ctrl-C"
        )
        self.pose = self.declare("pose", "home", choices=POSES, doc=doc)
        doc = "share of the velocity limits at which it goes there"
        speed = self.declare("speed", 0.15, low=0.001, high=0.5, doc=doc)
        self.mover = Mover(self, self.contract, replace(safety_options(self), soft_start=speed))
        layout = self.mover.layout
        self.course = PoseCourse(layout, waypoints(layout, self.pose), speed)
        self.control_timer(self.mover.period_s, self._step)
        self.background_timer(WATCH_S, self._watch_commands)

    def _step(self) -> None:
        if self.ended.is_set():
            return
        if not self.mover.started and not self._start():
            return
        self.mover.turn()
        if self.mover.failure is not None:
            self._give_up(self.mover.failure)
        elif self.mover.done:
            self.log(f"the robot is at '{self.pose}'")
            self.finish(0)

    def _give_up(self, words: str) -> None:
        self.log(f"not at '{self.pose}': {words}", severity="error")
        self.finish(1)

    def _start(self) -> bool:
        """Begin once every puppet is heard and the commands would be."""
        missing = self.mover.problems()
        if missing:
            self.wait_for(missing)
            return False
        self.clear("waiting")
        self.mover.begin(self.course)
        ends = "until Ctrl-C" if self.pose == "hold" else "slowly; Ctrl-C holds it where it is"
        self.log(f"robot {self.contract.name}: '{self.pose}', {ends}")
        return True

    def _watch_commands(self) -> None:
        """Where another node commands the robot too: hold once more, let go of it, and end."""
        if contested := self.mover.contested():
            self.mover.leave()
            self._give_up(f"{summary(contested)}: held, and let go of")

    def on_shutdown(self) -> None:
        """Arms held where they were commanded, base at zero."""
        self.mover.end()


def main() -> None:
    """Entry point of the executable `posture`."""
    run(Posture)


if __name__ == "__main__":
    main()
