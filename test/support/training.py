"""Configurations of tiny trainings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tree = Callable[..., dict[str, Any]]  # the fixture `tree`: (folder or folders, **changes with dotted keys as a__b)
