"""Who else is on the network: publishers that should not be there, none at all, a node that moves the puppets."""

from __future__ import annotations

import time
from collections.abc import Iterator

from diagnostic_msgs.msg import DiagnosticStatus

from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.subscriptions import StreamInputs
from vgil_ros.nodes.session.readiness import nobody_there, teleop_problem

TELEOP_S = 2.0  # without a status for so long the teleop node is gone
PHASE = "phase_"  # of an arm, in its status
RELEASED = "released"  # the teleop node's state once it has let go of the robot
UNLED = {
    "blocked": "held, a joint does not follow its commands; the teleop node says which",
    RELEASED: "not moved by its master: the teleop node has let go of the robot",
}


class Neighbours:
    """Looks at the network now and then.

    Attributes:
        doubled: topics with more than one publisher.
        nobody: what to think of where no topic of the robot has one.
    """

    def __init__(self, node: VgilNode, inputs: StreamInputs, robot: str, topics: int) -> None:
        self._node, self._inputs, self._robot, self._topics = node, inputs, robot, topics
        self.doubled: tuple[Problem, ...] = ()
        self.nobody: tuple[Problem, ...] = ()

    def look(self) -> None:
        """Look anew; it takes a millisecond or more."""
        self.doubled = self._inputs.duplicate_publishers()
        self.nobody = ()
        if not self._inputs.look_for_names():
            domain = self._node.context.get_domain_id()
            self.nobody = (nobody_there(self._robot, self._topics, domain, list(self._nodes())),)

    def _nodes(self) -> Iterator[str]:
        own = (self._node.get_name(), self._node.get_namespace())
        for name, space in self._node.get_node_names_and_namespaces():
            if (name, space) != own and not name.startswith("_"):  # hidden ones are tools
                yield f"{space.rstrip('/')}/{name}"


class TeleopWatch:
    """Hears from a teleop node whether the puppets follow their masters.

    Args:
        node: that listens.
        wanted: whether there is to be such a node; one that is heard is waited for anyhow.
    """

    def __init__(self, node: VgilNode, *, wanted: bool) -> None:
        self._wanted = wanted
        self._phases: dict[str, str] = {}
        self._heard_s = float("-inf")
        node.create_subscription(DiagnosticStatus, "teleop/status", self._on_status, 10)

    def _on_status(self, message: DiagnosticStatus) -> None:
        phases = {pair.key: pair.value for pair in message.values if pair.key.startswith(PHASE)}
        self._phases = {key.removeprefix(PHASE): value for key, value in phases.items()}
        if any(pair.key == "state" and pair.value == RELEASED for pair in message.values):
            self._phases = dict.fromkeys(self._phases or ("the robot",), RELEASED)  # all arms are, whatever they did
        self._heard_s = time.monotonic()

    @property
    def heard(self) -> bool:
        """Whether such a node runs."""
        return time.monotonic() - self._heard_s < TELEOP_S

    @property
    def unled(self) -> tuple[Problem, ...]:
        """The arms that no master moves any more, and that do not come back by themselves."""
        phases = self._phases if self.heard else {}
        return tuple(
            Problem(f"{name} {phase}", f"{name}: {UNLED[phase]}") for name, phase in phases.items() if phase in UNLED
        )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why a recording does not begin yet."""
        problem = teleop_problem(self._phases if self.heard else None, self._wanted)
        return () if problem is None else (problem,)
