"""Options of `vgil eval`: the command line and the plan that comes of it, old spellings included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from vgil_ros.cli.main import app
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation import evaluate as evaluation
from vgil_ros.evaluation.plan import EvaluationPlan


def plan_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[EvaluationPlan, str]:
    """The plan that a command line makes, and what the command says."""
    plans: list[EvaluationPlan] = []

    def evaluate(plan: EvaluationPlan, checkpoint: Path, **more: Any) -> None:
        plans.append(plan)
        raise VgilError("seen enough")

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    done = CliRunner().invoke(app, ["eval", "--checkpoint", "nowhere", *arguments])
    assert plans, done.output
    return plans[0], done.output


def test_left_out_is_as_the_policy_node_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, said = plan_of(monkeypatch)
    assert plan == EvaluationPlan("pick_place", seed=20_000), "no scene that a demonstration shows"
    assert "warning" not in said


def test_limits_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--watchdog-ms", "300", "--max-age-ms", "150.5", "--soft-start", "0.5", "--inference-period", "7"]
    plan, _ = plan_of(monkeypatch, *given, "--swap-images-from-seed", "99", "--execution", "async")
    assert (plan.watchdog_ms, plan.max_age_ms, plan.soft_start) == (300.0, 150.5, 0.5)
    assert (plan.inference_period, plan.swap_images_from_seed, plan.execution) == (7, 99, "async")


@pytest.mark.parametrize(
    ("given", "name", "value", "warning"),
    [
        (["--query-every", "5"], "inference_period", 5, "'--query-every' is the old spelling of '--inference-period'"),
        (["--query-every=5"], "inference_period", 5, "'--query-every' is the old spelling of '--inference-period'"),
        (["--pictures-of-seed", "99"], "swap_images_from_seed", 99, "of '--swap-images-from-seed'"),
        (["--execution", "real_time"], "execution", "rtc", "'--execution real_time' is the old spelling of"),
        (["--execution=real_time"], "execution", "rtc", "is the old spelling of '--execution rtc'"),
    ],
)
def test_old_spellings_work_and_warn(
    monkeypatch: pytest.MonkeyPatch, given: list[str], name: str, value: object, warning: str
) -> None:
    plan, said = plan_of(monkeypatch, *given)
    assert getattr(plan, name) == value
    assert warning in said
    assert said.count("warning: ") == 1


def test_a_value_that_looks_like_an_old_one_elsewhere_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, said = plan_of(monkeypatch, "--robot", "real_time")
    assert plan.robot == "real_time"
    assert "warning" not in said
