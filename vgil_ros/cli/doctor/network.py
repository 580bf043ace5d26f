"""The doctor's look at the network: the domain, how far nodes are heard, and who else is there."""

from __future__ import annotations

import importlib.util
import time
from collections import Counter
from collections.abc import Callable, Mapping

from vgil_ros.cli.doctor.findings import Health, bad, ok, warn
from vgil_ros.nodes.dds.reach import MAX_DOMAIN, RANGE

SAFE_DOMAIN = 101  # above it, Linux may give a domain's ports to anyone
LISTEN_S = 2.0  # at least, and until nobody new has come up for so long: nodes find each other one by one
MOST_S = 10.0  # on a busy machine one takes seconds


def domain(environment: Mapping[str, str]) -> Health:
    """The ROS domain."""
    text = environment.get("ROS_DOMAIN_ID", "")
    if not text:
        return warn("domain", "ROS_DOMAIN_ID is not set: domain 0, as everybody's", "export ROS_DOMAIN_ID=N, 1 to 101")
    if not text.isdecimal() or int(text) > MAX_DOMAIN:
        return bad(
            "domain", f"ROS_DOMAIN_ID is '{text}'; allowed: 0 to {MAX_DOMAIN}", "export ROS_DOMAIN_ID=N, 1 to 101"
        )
    if int(text) > SAFE_DOMAIN:
        words = f"ROS_DOMAIN_ID is {text}: Linux may give its ports to other programs"
        return warn("domain", words, f"take one of 1 to {SAFE_DOMAIN}")
    return ok("domain", f"ROS_DOMAIN_ID is {text}")


def reach(environment: Mapping[str, str]) -> Health:
    """How far this terminal's nodes are heard."""
    only = environment.get("ROS_LOCALHOST_ONLY", "") == "1"
    span = "LOCALHOST" if only else environment.get(RANGE, "") or "SUBNET"
    if span == "SUBNET":
        remedy = f"{RANGE}=LOCALHOST where the robot is at this computer alone"
        return warn("reach", "nodes are heard, and may be commanded, by all computers of the network", remedy)
    return ok("reach", f"{RANGE} is {span}")


def company() -> list[Health]:
    """Who is on the domain; two nodes of one name hinder each other."""
    if importlib.util.find_spec("rclpy") is None:
        return []
    try:
        from vgil_ros.nodes.query.client import QueryClient

        with QueryClient() as client:
            names = settled(client.nodes)
    except Exception as error:  # whatever keeps a node from coming up is what the doctor is asked about
        return [bad("nodes", f"no node can be made: {error}", "is the middleware of RMW_IMPLEMENTATION installed?")]
    found = [ok("nodes", f"on this domain: {', '.join(names) or 'none'}")]
    if doubled := sorted(name for name, count in Counter(names).items() if count > 1):
        found.append(
            warn("nodes", f"more than one is called {', '.join(doubled)}", "namespace:=r2, or end one of them")
        )
    return found


def settled(
    look: Callable[[], list[str]],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """What is seen once it has stayed the same for `LISTEN_S`, or after `MOST_S`."""
    began = since = clock()
    seen = look()
    while (now := clock()) - since < LISTEN_S and now - began < MOST_S:
        sleep(0.1)
        if (found := look()) != seen:
            seen, since = found, clock()
    return seen
