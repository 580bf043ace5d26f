"""Places in the checkout, and the environment of a process that imports what the tests can."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
EPISODE_GOLDENS = TESTS / "episodes" / "golden"
POLICY_GOLDENS = TESTS / "policies" / "golden"


def process_environment(**changes: str) -> dict[str, str]:
    """This process' environment, in which `support` and this checkout's package are found, and with changes."""
    given = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), str(ROOT), given])), **changes}
