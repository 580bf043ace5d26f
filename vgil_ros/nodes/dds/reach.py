"""How far the nodes of a launch are heard: the ROS domain, and this computer alone or its network too.

DDS has no passwords: whoever is on the domain hears everything and may command every robot. A simulated robot needs no
network, so it is kept to its computer unless the user has chosen otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_LOCALHOST_ONLY = "ROS_LOCALHOST_ONLY"  # Humble's, and the old one of those after it
_CHOICES = (RANGE, _LOCALHOST_ONLY, "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER")
MAX_DOMAIN = 232  # the highest whose ports exist


def kept_local(environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that keeps nodes to this computer; none where the user has said how far they are to be heard."""
    if any(environment.get(name) for name in _CHOICES):
        return {}
    if environment.get("ROS_DISTRO") == "humble":
        return {_LOCALHOST_ONLY: "1"}
    return {RANGE: "LOCALHOST"}


def plan_reach(
    environment: Mapping[str, str], *, simulated: bool, domain: int | None
) -> tuple[dict[str, str], list[str]]:
    """Variables for the nodes of a launch, and what to tell the user.

    Args:
        environment: the one that the nodes would get.
        simulated: whether the robot is.
        domain: ROS domain; None leaves it.
    """
    variables = {} if domain is None else {"ROS_DOMAIN_ID": str(domain)}
    said = []
    if simulated and (local := kept_local(environment)):
        variables |= local
        ((name, value),) = local.items()
        said.append(f"a simulated robot is heard on this computer alone ({name}={value}; set {RANGE}=SUBNET to change)")
    return variables, said
