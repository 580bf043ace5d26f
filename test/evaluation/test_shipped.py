"""The checkpoints in models/: small, with a card, doing their task, and only with their cameras."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vgil_ros.assets import checkpoint_path, load_contract, share_dir
from vgil_ros.cli.demo.recipes import RECIPES
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate
from vgil_ros.policies import load_policy
from vgil_ros.policies.compatibility import compare_with_robot

SHIPPED = "sim_pick_place_act"
ROBOTS = {
    SHIPPED: "sim_single",
    "sim_pick_place_flow_matching": "sim_single",
    "sim_pick_place_any_flow_matching": "sim_single",
    "sim_transfer_cube_act": "sim_aloha",
    "gym_aloha_transfer_act": "gym_aloha",
    "gym_aloha_insertion_act": "gym_aloha",
}
MEGABYTES = 15  # with what takeover and preflight hold against it
WEIGHTS_MEGABYTES = 10
NEEDED = {"policy.json", "model.safetensors", "README.md"}
OF_ITS_DATA = {"familiar.safetensors", "reference.safetensors"}  # takeover and preflight hold what is seen against it

pytestmark = pytest.mark.skipif(
    not (checkpoint_path(SHIPPED) / "policy.json").is_file(),
    reason=f"models/{SHIPPED} is not there: make train-demo trains it",
)


def shipped() -> list[str]:
    """What lies in models/."""
    return sorted(path.parent.name for path in (share_dir() / "models").glob("*/policy.json"))


def test_each_has_a_robot_a_recipe_and_a_line_in_the_table() -> None:
    assert set(shipped()) <= set(ROBOTS)
    assert set(shipped()) <= set(RECIPES)
    table = (share_dir() / "models" / "README.md").read_text()
    assert all(f"| `{name}` | `{ROBOTS[name]}` |" in table for name in shipped())


@pytest.mark.parametrize("name", ROBOTS)
def test_it_is_small_has_a_card_and_fits_its_robot(name: str) -> None:
    folder = share_dir() / "models" / name
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 1e6
    assert (folder / "model.safetensors").stat().st_size < WEIGHTS_MEGABYTES * 1e6
    assert NEEDED <= {path.name for path in files} <= NEEDED | OF_ITS_DATA
    card = (folder / "README.md").read_text()
    assert f"of {RECIPES[name].rollouts} |" in card
    assert ("--over-ros" in card) == (RECIPES[name].over_ros > 0)
    policy = load_policy(folder)
    assert policy.config.weights == "bf16"
    assert compare_with_robot(policy, Layout(load_contract(ROBOTS[name])[0])) == []


def test_it_does_its_task_and_needs_its_cameras() -> None:
    """On few scenes; the card has the figures of many."""
    plan = EvaluationPlan("pick_place", episodes=4, seed=20_000)
    own = evaluate(plan, checkpoint_path(SHIPPED))
    other = evaluate(replace(plan, swap_images_from_seed=1), checkpoint_path(SHIPPED))
    assert own.successes >= 3, [row.success for row in own.rollouts]
    assert other.successes <= 1, [row.success for row in other.rollouts]
    assert other.successes < own.successes
    assert other.average_return < 0.5 * own.average_return
