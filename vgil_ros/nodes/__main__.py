"""`python -m vgil_ros.nodes NAME ...`: run a node where its executable is not on the path."""

from __future__ import annotations

import sys

from vgil_ros.core.graph.service_names import NODES
from vgil_ros.nodes.entry import start

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in NODES:
        print(f"error: node '{name}' is unknown; allowed: {', '.join(NODES)}", file=sys.stderr)
        sys.exit(2)
    start(name)
