"""Which scenes are for what, so that nobody measures a policy on the scenes that it was shown."""

from __future__ import annotations

FIRST_UNSEEN = 20_000  # of those to measure on; demonstrations are of the scenes from 0 on
