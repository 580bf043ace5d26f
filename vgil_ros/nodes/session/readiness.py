"""What stands against starting, in words for somebody who does not know yet what he forgot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vgil_ros.core.contract import Contract
from vgil_ros.core.graph.service_names import DRIVERS, NODES
from vgil_ros.nodes.base.alerts import Problem

TOGETHER_NS = 500_000_000  # what comes up within this is said in one line
REPEAT_NS = 10_000_000_000  # what was said so short a time ago is not said again
BESIDE = tuple(node for node in NODES if node not in DRIVERS)  # nodes of ours that bring no robot


def nobody_there(robot: str, topics: int, domain: int, nodes: Sequence[str]) -> Problem:
    """What to look at where not one topic of a robot has a publisher.

    Args:
        robot: the contract's name.
        topics: how many it has.
        domain: this node's ROS domain.
        nodes: names of all nodes that are seen there, with their namespaces.
    """
    others = sorted({name for name in nodes if name.rpartition("/")[2] not in BESIDE})
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        words = f"no publisher on any of {topics} topics, domain {domain}, where {', '.join(others[:3])}{more} run"
        words += ": is the driver running, and does the contract name its topics?"
    else:
        words = f"nothing at all on domain {domain}: is the driver running, with the same ROS_DOMAIN_ID?"
    if robot.startswith("sim_"):
        words += f"; '{robot}' is simulated: sim:=true?"
    return Problem("nobody", words)


class Waiting:
    """Says what is waited for: all of it once, then what is new; nothing twice within ten seconds."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._standing: set[str] = set()
        self._last_ns: int | None = None

    def news(self, problems: Sequence[Problem], now_ns: int) -> tuple[Problem, ...]:
        """Return the problems to be said now.

        Args:
            problems: all that there are; two with one key are the same.
            now_ns: the time.
        """
        self._standing &= {p.key for p in problems}
        new = [p for p in problems if p.key not in self._standing]
        if not new or (self._last_ns is not None and 0 <= now_ns - self._last_ns < TOGETHER_NS):
            return ()
        self._standing |= {p.key for p in new}
        told = tuple(p for p in new if not self._lately(p.key, now_ns))
        self._said |= {p.key: now_ns for p in told}
        self._last_ns = now_ns if told else self._last_ns
        return told

    def _lately(self, key: str, now_ns: int) -> bool:
        return key in self._said and 0 <= now_ns - self._said[key] < REPEAT_NS

    def over(self) -> None:
        """Nothing is waited for any more: the next time all is said anew."""
        self._said.clear()
        self._standing.clear()
        self._last_ns = None


def teleop_problem(phases: Mapping[str, str] | None, wanted: bool) -> Problem | None:
    """Say why a recording does not begin yet, as the puppets do not follow.

    Args:
        phases: what the teleop node says of each arm, as `core.leader_follower.Phase`; None where it is not heard.
        wanted: whether there is to be one.
    """
    if phases is None:
        words = "teleop: nothing heard of the node that moves the puppets; wait_for_teleop:=false records without it"
        return Problem("teleop silent", words) if wanted else None
    says = {
        "blocked": "is held, as a joint does not follow its commands; the teleop node says which",
        "released": "was let go of; vgil call start --node teleop",
        "waiting": "holds, as its master or puppet is silent",
        "ready": "waits for its master's gripper to be closed",
        "aligning": "is still on its way to its master",
    }
    late = {arm: says.get(phase, f"is '{phase}'") for arm, phase in phases.items() if phase != "following"}
    if not late:
        return None
    words = "; ".join(f"{arm} {what}" for arm, what in late.items())
    return Problem(f"teleop {sorted(late.items())}", f"teleop: {words}; needed: every arm follows")


def ready_words(streams: int, how: str) -> str:
    """What is said once everything that an episode needs is there."""
    return f"all {streams} streams are here: {how}"


def slow_words(rate: float, best: float) -> str:
    """What is known of a stream that is held: how often it comes, against how often it came before.

    Args:
        rate: messages in the last second.
        best: most messages in a second so far.
    """
    words = f"it comes at {rate:.0f} a second"
    if best > 0 and rate < 0.75 * best:
        share = "half of" if abs(rate / best - 0.5) < 0.1 else "less than"
        words += f", {share} {best:.0f}: auto exposure in dim light, or a busy USB bus?"
    return words


def jpeg_words(contract: Contract) -> list[str]:
    """What becomes of the images of cameras that send JPEG: a line for those that are kept, and one for the others."""
    compressed = [camera for camera in contract.cameras if camera.type == "compressed"]
    own = [camera.name for camera in compressed if camera.jpeg_order == "camera"]
    anew = [camera.name for camera in compressed if camera.jpeg_order == "peers"]
    words = {
        f"JPEGs of {own} are stored as they come: act-plus-plus' and Cobot Magic's loaders swap their red and"
        " blue; for those give jpeg_order:=peers, or use `vgil episodes convert`": own,
        f"JPEGs of {anew} are decoded and encoded anew: act-plus-plus' and Cobot Magic's loaders get RGB": anew,
    }
    return [line for line, cameras in words.items() if cameras]
