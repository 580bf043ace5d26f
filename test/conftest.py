"""For all tests: one thread a process, and hypothesis holds laws, not the machine, to account.

The networks are small, and a part of the tests seldom has the machine to itself: threads of torch that wait for each
other take twenty times as long as one alone. Benchmarks (`-m bench`) choose their threads themselves.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")
pytest.register_assert_rewrite("support")  # asserts of helpers tell their values too


def pytest_configure(config: pytest.Config) -> None:
    """Before torch is loaded, here and in the processes that tests start."""
    if config.getoption("markexpr") != "bench":
        os.environ.setdefault("OMP_NUM_THREADS", "1")
