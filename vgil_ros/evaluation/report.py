"""Report of an evaluation: what was run, on which settings, and how it did. A frozen value, and its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vgil_ros.core.config import StrictModel, load_json, validate
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.metrics import Metrics, Percentiles


class Machine(StrictModel):
    """What depends on the machine: how long inferences took, and the evaluation as a whole."""

    inference_ms: Percentiles
    seconds: float


class EvaluationSettings(StrictModel):
    """What was evaluated; see `EvaluationPlan`.

    Attributes:
        latency_ms: None through the nodes, where it takes what it takes, and with a trace.
        latency_trace: the trace's file.
    """

    task: str
    robot: str
    seed: int
    execution: str
    inference_period: int | None = None
    ensemble_coefficient: float | None = None
    episode_len: int
    latency_ms: float | None
    latency_trace: str | None = None
    watchdog_ms: float
    max_age_ms: float
    soft_start: float
    swap_images_from_seed: int | None = None


class EvaluationReport(Metrics, EvaluationSettings):
    """Everything that an evaluation found; all but `machine` follows from the seed.

    Attributes:
        checkpoint: its folder; policy: its type; fingerprint: of its training data. None for another source of chunks.
        over_ros: whether it ran through the real nodes.
        machine: what depends on the machine.
    """

    checkpoint: str | None = None
    policy: str | None = None
    fingerprint: str | None = None
    over_ros: bool = False
    machine: Machine

    def as_dict(self) -> dict[str, Any]:
        """Its plain values, as JSON has them."""
        return self.model_dump(mode="json", by_alias=True)


def make_report(
    settings: EvaluationSettings, metrics: Metrics, machine: Machine, **identity: str | bool | None
) -> EvaluationReport:
    """Put a report together; `identity` is what of it neither settings nor figures tell."""
    return EvaluationReport(**dict(settings), **dict(metrics), machine=machine, **identity)


def read_report(path: Path) -> EvaluationReport:
    """Read what `vgil eval --json` wrote.

    Raises:
        VgilError: it cannot be read, or is something else.
    """
    values = load_json(path)
    if not isinstance(values, dict) or "success_interval_95" not in values:
        raise VgilError(f"{path}: is no report of vgil eval --json")
    return validate(EvaluationReport, values, str(path))
