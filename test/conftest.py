"""For all tests: hypothesis holds laws, not the machine, to account; an example may take as long as it takes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")
pytest.register_assert_rewrite("support")  # asserts of helpers tell their values too
