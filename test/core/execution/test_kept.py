"""How a checkpoint's word on its execution and a user's come together."""

from __future__ import annotations

from typing import Any

import pytest

from vgil_ros.core.config import validate
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import Execution, KeptExecution, resolve_execution

OPEN = KeptExecution(mode="open_loop", inference_period=25)
ENSEMBLE = KeptExecution(ensemble_coefficient=0.05)


@pytest.mark.parametrize(
    ("given", "kept", "expected"),
    [
        (Execution(), None, ("temporal_ensemble", None, None)),
        (Execution("async"), None, ("async", None, None)),
        (Execution(), OPEN, ("open_loop", 25, None)),
        (Execution("open_loop"), OPEN, ("open_loop", 25, None)),
        (Execution(None, 10), OPEN, ("open_loop", 10, None)),
        (Execution("rtc"), OPEN, ("rtc", None, None)),
        (Execution(), ENSEMBLE, ("temporal_ensemble", None, 0.05)),
        (Execution(None, None, 0.01), ENSEMBLE, ("temporal_ensemble", None, 0.01)),
        (Execution("open_loop", 5), ENSEMBLE, ("open_loop", 5, None)),
        (Execution(), KeptExecution(mode="open_loop", inference_period=50), ("open_loop", None, None)),
    ],
)
def test_what_is_given_wins_and_a_checkpoints_options_are_its_modes(
    given: Execution, kept: KeptExecution | None, expected: tuple[Any, ...]
) -> None:
    played = resolve_execution(given, kept, horizon=50)
    assert (played.mode, played.inference_period, played.ensemble_coefficient) == expected


def test_it_is_said_where_it_comes_from() -> None:
    assert "open_loop, inference_period 25 (as its checkpoint says)" in resolve_execution(Execution(), OPEN, 50).words
    words = resolve_execution(Execution("async"), OPEN, 50).words
    assert "by async (as given; its checkpoint says open_loop, inference_period 25)" in words
    assert "its checkpoint says nothing of it" in resolve_execution(Execution(), None, 50).words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mode": "fast"}, "mode: found 'fast'; allowed: temporal_ensemble"),
        ({"inference_period": 5}, "temporal_ensemble asks at every tick"),
        ({"mode": "async", "ensemble_coefficient": 0.1}, "is of temporal_ensemble, not of async"),
        ({"mode": "open_loop", "inference_period": 0}, "greater than 0"),
        ({"ensemble_coefficient": float("nan")}, "a finite number"),
        ({"every": 1}, "every: unknown key"),
    ],
)
def test_what_no_mode_takes_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(VgilError, match=words):
        validate(KeptExecution, values, "policy.json")
