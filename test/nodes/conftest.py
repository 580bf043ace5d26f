"""Fixtures of the tests over real nodes: a ROS domain of one's own, and processes that end with the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A free domain, a folder, and whatever is started on them until the test ends."""
    with Bench(tmp_path) as made:
        yield made
