"""A Gymnasium environment with ALOHA's layout, registered under whichever package imports `register`.

Fourteen joints go towards where they are sent at a bounded speed, seen by one camera as brightness; done, and then over
for good, once the left waist has come far enough.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

PACKAGE, NAME = "reach_world", "Reach-v0"
TASK = f"{PACKAGE}/{NAME}"
GOAL = 0.5  # rad
FASTEST = 0.02  # rad a step


class Reach(gymnasium.Env[Any, Any]):
    """See the module."""

    def __init__(self, obs_type: str) -> None:
        assert obs_type == "pixels_agent_pos"
        self.action_space = gymnasium.spaces.Box(-4.0, 4.0, (14,), np.float32)
        image = gymnasium.spaces.Box(0, 255, (480, 640, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "agent_pos": gymnasium.spaces.Box(-4.0, 4.0, (14,), np.float64),
                "pixels": gymnasium.spaces.Dict({"top": image}),
            }
        )
        self.over = False
        self._thread = threading.get_ident()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The left waist begins a little elsewhere with each seed."""
        assert threading.get_ident() == self._thread, "as one that draws with OpenGL, it lives in one thread"
        super().reset(seed=seed)
        self.q = np.zeros(14)
        self.q[0] = -0.1 * float(self.np_random.random())
        self.over = False
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Gymnasium's five."""
        assert not self.over, "an environment that is over was stepped"
        assert threading.get_ident() == self._thread, "as one that draws with OpenGL, it lives in one thread"
        self.q += np.clip(action - self.q, -FASTEST, FASTEST)
        self.over = bool(self.q[0] > GOAL)
        return self._seen(), 4.0 if self.over else 1.0, self.over, False, {}

    def _seen(self) -> dict[str, Any]:
        grey = 100 + round(100 * float(np.clip(self.q[0], -1, 1)))
        return {"agent_pos": self.q.copy(), "pixels": {"top": np.full((480, 640, 3), grey, np.uint8)}}


def register() -> None:
    """Make it known to Gymnasium."""
    gymnasium.register(TASK, entry_point=Reach)


def write_package(folder: Path) -> Path:
    """Write the package that registers it; the folder belongs on PYTHONPATH."""
    (folder / PACKAGE).mkdir(parents=True)
    (folder / PACKAGE / "__init__.py").write_text("from support.robots.reach import register\n\nregister()\n")
    return folder
