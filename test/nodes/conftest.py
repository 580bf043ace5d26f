"""Fixtures of the tests over real nodes: a ROS domain of one's own, and processes that end with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.nodes.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A free domain, a folder, and whatever is started on them until the test ends."""
    from support.nodes.bench import Bench  # not at the top: it needs ROS 2, and this file is read without it too

    with Bench(tmp_path) as made:
        yield made
