"""A policy node that keeps every turn of its control loop; prints them as one line of JSON when it ends."""

from __future__ import annotations

import json
import time

from vgil_ros.core.session import SessionState
from vgil_ros.nodes.policy import PolicyNode, main


class MeasuredPolicy(PolicyNode):
    """Notes when each turn begins, and its length by the wall clock and by the CPU of its own thread."""

    def __init__(self) -> None:
        self.turns: list[tuple[float, float, float]] = []
        super().__init__()

    def step(self) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        super().step()
        if self.session.state is SessionState.RUNNING and self.commands.sent:
            self.turns.append((wall, time.perf_counter() - wall, time.thread_time() - cpu))

    def on_shutdown(self) -> None:
        super().on_shutdown()
        found = {"turns": self.turns, "inference": list(self.latency._values)}
        print("turns " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main(MeasuredPolicy)
