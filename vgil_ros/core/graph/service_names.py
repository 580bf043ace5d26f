"""Names on a robot's graph: which service a command means, and which topic a wrong name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from vgil_ros.core.errors import VgilError

NODES = (  # every executable of ours
    *("recorder", "policy", "teleop", "replay", "sim", "monitor", "posture", "jog"),
    *("bringup", "webcam", "feetech", "web"),
)
DRIVERS = ("sim", "webcam", "feetech")  # of these: what brings a robot's topics
# Which of them offer what.
OFFERED_BY: dict[str, tuple[str, ...]] = {
    "start": ("recorder", "policy", "teleop"),
    "stop": ("recorder", "policy", "teleop"),
    "discard": ("recorder",),
    "redo": ("recorder",),
    "label_success": ("recorder", "policy"),
    "label_failure": ("recorder", "policy"),
    "label_unsure": ("recorder", "policy"),
    "reset": ("policy", "sim"),
    "estop": ("policy",),
    "takeover": ("policy",),
    "hand_back": ("policy",),
    "correct": ("sim",),
    "wake": ("bringup",),
    "sleep": ("bringup",),
}
SERVING = tuple(node for node in NODES if any(node in nodes for nodes in OFFERED_BY.values()))
ALIKE = 0.6  # of two names, by difflib: 1 is the same


def namespaced(namespace: str, name: str) -> str:
    """`/NAMESPACE/NAME`, whether the namespace was given with slashes, without, or not at all."""
    space = namespace.strip("/")
    return f"/{space}/{name}" if space else f"/{name}"


def meant_services(command: str, node: str | None, namespace: str) -> tuple[str, ...]:
    """The services that a command may mean, in full.

    Args:
        command: a key of `OFFERED_BY`.
        node: the node that is to obey; None where it was left out.
        namespace: of the robot; "" for none.

    Raises:
        VgilError: for a command that there is not, or that the node does not have.
    """
    if command not in OFFERED_BY:
        raise VgilError(f"command '{command}' is unknown; allowed: {', '.join(OFFERED_BY)}")
    nodes = OFFERED_BY[command]
    if node is not None and node not in nodes:
        raise VgilError(f"--node {node}: it has no service '{command}'; allowed: {', '.join(nodes)}")
    return tuple(namespaced(namespace, f"{one}/{command}") for one in (nodes if node is None else (node,)))


def choose_service(command: str, meant: Collection[str], offered: Collection[str]) -> str | None:
    """The one service that is meant and offered; None where none is yet.

    Raises:
        VgilError: where several are.
    """
    found = [name for name in meant if name in offered]
    if len(found) > 1:
        nodes = [name.split("/")[-2] for name in found]
        raise VgilError(f"'{command}' is offered by {', '.join(found)}; give --node {' or '.join(nodes)}")
    return found[0] if found else None


def elsewhere(command: str, node: str | None, offered: Iterable[str]) -> list[str]:
    """Namespaces other than the one asked for in which a command is offered, as `--namespace` takes them."""
    nodes = OFFERED_BY[command] if node is None else (node,)
    endings = tuple(f"/{one}/{command}" for one in nodes)
    return sorted({name[: -len(end)].strip("/") for name in offered for end in endings if name.endswith(end)} - {""})


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like one which is not there; None where none is much like it."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=ALIKE)), None)
