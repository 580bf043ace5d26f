"""For all tests: one thread a process, and hypothesis holds laws, not the machine, to account.

The networks are small, and a part of the tests seldom has the machine to itself: threads of torch that wait for each
other take twenty times as long as one alone. Benchmarks (`-m bench`) choose their threads themselves.

A file of tests that needs an optional package which is not installed is skipped, and names it.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from vgil_ros.extras import EXTRA_OF

settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")
pytest.register_assert_rewrite("support")  # asserts of helpers tell their values too


def pytest_configure(config: pytest.Config) -> None:
    """Before torch is loaded, here and in the processes that tests start."""
    if config.getoption("markexpr") != "bench":
        os.environ.setdefault("OMP_NUM_THREADS", "1")


class OptionalModule(pytest.Module):
    """A file of tests; without an optional package that it imports, it is skipped."""

    def _getobj(self) -> Any:
        try:
            return super()._getobj()  # type: ignore[no-untyped-call]
        except self.CollectError as error:
            name = (getattr(error.__cause__, "name", None) or "").partition(".")[0]
            if name in EXTRA_OF and importlib.util.find_spec(name) is None:
                pytest.skip(
                    f"{name} is not installed: pip install 'vgil_ros[{EXTRA_OF[name]}]'", allow_module_level=True
                )
            raise


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Every file of tests may be one that needs what is not installed."""
    module: pytest.Module = OptionalModule.from_parent(parent, path=module_path)
    return module
