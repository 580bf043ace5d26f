"""Two checkpoints on the same scenes: each is evaluated as by itself, whoever plays, and wherever it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.evaluation.sources import tiny_act, tiny_flow
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.comparing.matches import compare
from vgil_ros.evaluation.comparing.paired import PairedCounts
from vgil_ros.evaluation.comparing.report import ComparisonReport, compare_reports
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate
from vgil_ros.evaluation.metrics import Percentiles, Rollout, summarise
from vgil_ros.evaluation.report import EvaluationReport, Machine, make_report

PLAN = EvaluationPlan("pick_place", episodes=2, seed=3, episode_len=8)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("policies")
    return tiny_act(folder / "act"), tiny_flow(folder / "flow")


def told(report: ComparisonReport | EvaluationReport) -> dict[str, Any]:
    """A report without what depends on the machine."""
    values = report.as_dict()
    for part in (values, values.get("first", {}), values.get("second", {})):
        part.pop("machine", None)
    return values


def made(ends: list[bool], seed: int = 0) -> EvaluationReport:
    """A report of rollouts that ended so."""
    rollouts = [Rollout(seed + i, end, 1.0, 4.0, 5, 3 if end else None) for i, end in enumerate(ends)]
    plan = EvaluationPlan("pick_place", episodes=len(ends), seed=seed)
    return make_report(plan.settings, summarise(rollouts, 4.0), Machine(inference_ms=Percentiles(), seconds=1.0))


def test_two_processes_find_what_one_finds_and_each_side_is_as_if_alone(checkpoints: tuple[Path, Path]) -> None:
    one = compare(PLAN, *checkpoints)
    two = compare(PLAN, *checkpoints, workers=2)
    assert told(one) == told(two)
    for side, checkpoint in zip((one.first, one.second), checkpoints, strict=True):
        assert told(side) == told(evaluate(PLAN, checkpoint))
    assert (one.pairs, one.neither, one.p_value, one.better) == (2, 2, 1.0, None)


def test_the_command_says_and_writes_it(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["eval", "--checkpoint", str(checkpoints[0]), "--against", str(checkpoints[0]), "--episodes", "1"]
    done = CliRunner().invoke(app, [*words, "--episode-len", "5", "--stop-early", "--json", str(tmp_path / "c.json")])
    assert done.exit_code == 0, done.output
    assert "cannot be told apart at the level 0.05" in done.stdout
    found = ComparisonReport.model_validate(json.loads((tmp_path / "c.json").read_text()))
    assert (found.test, found.pairs, found.counts) == ("sequential", 1, PairedCounts(neither=1))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stop-early"], "--stop-early ends a comparison; allowed: with --against"),
        (["--against", "b", "--alpha", "2"], "alpha is 2; allowed: above 0 and below 1"),
        (["--against", "b", "--stop-early", "--over-ros"], "--stop-early with --over-ros"),
    ],
)
def test_what_cannot_be_asked_for_is_named(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["eval", "--checkpoint", "a", *words])
    assert done.exit_code == 2
    assert said in done.stderr


def test_pairs_and_their_verdict() -> None:
    better, worse = made([True] * 9 + [False]), made([False] * 8 + [True, False])
    fixed = compare_reports(better, worse)
    assert fixed.counts == PairedCounts(1, 8, 0, 1)
    assert (fixed.test, fixed.better, fixed.p_value) == ("mcnemar_exact", "first", pytest.approx(2 / 256))
    assert compare_reports(worse, better).better == "second"
    looked = compare_reports(better, worse, sequential=True)
    assert (looked.test, looked.better) == ("sequential", "first")
    assert looked.p_value > fixed.p_value, "what it costs to look after every pair"
    assert looked.difference_interval[0] < fixed.difference_interval[0]
    assert compare_reports(better, worse, 0.001).better is None


def test_other_scenes_are_no_comparison() -> None:
    with pytest.raises(VgilError, match="seed: found 0 and 7; allowed: reports of the very same scenes"):
        compare_reports(made([True]), made([True], seed=7))
