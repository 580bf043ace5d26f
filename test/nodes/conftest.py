"""Fixtures of the tests over real nodes: a ROS domain of one's own, and processes that end with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nodes.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A free domain, a folder, and whatever is started on them until the test ends."""
    with Bench(tmp_path) as made:
        yield made
