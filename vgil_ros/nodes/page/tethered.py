"""`python -m vgil_ros.nodes.page.tethered PARENT NODE ...`: a node that ends, as on Ctrl-C, when its parent dies.

The kernel sends the signal (prctl, PR_SET_PDEATHSIG): a parent that was killed has no say any more. A policy that gets
it holds the arms, closes its rollout and ends, rather than go on with nobody at its e-stop.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from vgil_ros.core.graph.service_names import NODES
from vgil_ros.nodes.entry import INTERRUPTED, start

PR_SET_PDEATHSIG = 1


def tie_to(parent: int) -> bool:
    """Have this process interrupted once its parent's starting thread ends; False where the parent is gone already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    return os.getppid() == parent


if __name__ == "__main__":
    parent, name = int(sys.argv.pop(1)), sys.argv.pop(1)
    if name not in NODES:
        print(f"error: node '{name}' is unknown; allowed: {', '.join(NODES)}", file=sys.stderr)
        sys.exit(2)
    if not tie_to(parent):
        sys.exit(INTERRUPTED)
    start(name)
