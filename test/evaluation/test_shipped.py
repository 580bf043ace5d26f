"""The checkpoints in models/: small, with a card, doing their task, and only with their cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vgil_ros.assets import checkpoint_path, load_contract, share_dir
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate
from vgil_ros.policies import load_policy
from vgil_ros.policies.compatibility import compare_with_robot

SHIPPED = "sim_pick_place_act"
MEGABYTES = 15

pytestmark = pytest.mark.skipif(
    not (checkpoint_path(SHIPPED) / "policy.json").is_file(),
    reason=f"models/{SHIPPED} is not there: make train-demo trains it",
)


@pytest.fixture(scope="module")
def folder() -> Path:
    return share_dir() / "models" / SHIPPED


def test_it_is_small_has_a_card_and_fits_its_robot(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 1e6
    assert {path.name for path in files} == {"policy.json", "model.safetensors", "README.md"}
    card = (folder / "README.md").read_text()
    assert "of 100" in card
    assert "--over-ros" in card
    policy = load_policy(folder)
    assert policy.config.weights == "bf16"
    assert compare_with_robot(policy, Layout(load_contract("sim_single")[0])) == []


def test_it_does_its_task_and_needs_its_cameras() -> None:
    """On few scenes; the card has the figures of many."""
    plan = EvaluationPlan("pick_place", episodes=4, seed=20_000)
    own = evaluate(plan, checkpoint_path(SHIPPED))
    other = evaluate(replace(plan, swap_images_from_seed=1), checkpoint_path(SHIPPED))
    assert own.successes >= 3, [row.success for row in own.rollouts]
    assert other.successes <= 1, [row.success for row in other.rollouts]
    assert other.successes < own.successes
    assert other.average_return < 0.5 * own.average_return
