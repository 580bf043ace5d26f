"""What is usual in a policy's training data: measured, stored with the checkpoint, read back; damage is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.episodes import made_episodes as made
from support.policies.contract import fitted
from support.policies.flow_matching import small as small_flow
from typer.testing import CliRunner

from vgil_ros.cli.checkpoint.commands import app
from vgil_ros.core.control.doubt import Familiar
from vgil_ros.core.observation import RobotObservation
from vgil_ros.episodes import EpisodeWriter
from vgil_ros.policies.act.config import ActConfig as ACTConfig
from vgil_ros.policies.config import CameraSpec
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.familiar import FILE, load_familiar, save_familiar
from vgil_ros.policies.flow_matching import FlowMatchingPolicy
from vgil_ros.training.data.familiar import measure_familiar
from vgil_ros.training.errors import TrainingError

MODELS = Path(__file__).parents[2] / "models"
CONFIG = ACTConfig(state_dim=3, action_dim=3, cameras=(CameraSpec(name="cam_a", height=48, width=64),), chunk_size=8)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [made.write(tmp_path / "data", made.meta(), rows) for rows in (40, 50, 60)]


def measured(paths: list[Path], step: float = 0.0) -> Familiar:
    """A policy that says the same for every observation, or each time `step` more."""
    asked = [0]

    def chunk(observation: RobotObservation) -> np.ndarray:
        assert observation["images"]["cam_a"].shape == (48, 64, 3)
        asked[0] += 1
        return np.full((8, 3), step * asked[0], np.float32)

    return measure_familiar(paths, CONFIG, chunk)


def test_rows_of_the_data_are_usual_and_others_are_not(paths: list[Path]) -> None:
    found = measured(paths, 0.1)
    assert found.points.shape == (150, 6)
    positions = [made.observation(row, made.meta())["qpos"].astype(float) for row in (5, 30)]  # half a second apart
    at, move = positions[1], positions[1] - positions[0]
    assert found.distance(np.concatenate([at, move])) <= found.novelty
    assert found.distance(np.concatenate([at + 6.0, move])) > 3 * found.novelty
    assert found.disagreement is not None
    assert found.disagreement > 0.05


def test_it_lies_with_the_checkpoint_and_comes_back(paths: list[Path], tmp_path: Path) -> None:
    assert load_familiar(tmp_path) is None
    found = measured(paths)
    save_familiar(tmp_path, found)
    again = load_familiar(tmp_path)
    assert again is not None
    np.testing.assert_array_equal(again.points, found.points)
    assert again.novelty == found.novelty
    assert again.disagreement is None, "a policy that never changes its mind has no usual disagreement to divide by"


def test_another_robot_s_is_refused_and_damage_is_named(paths: list[Path], tmp_path: Path) -> None:
    save_familiar(tmp_path, measured(paths))
    assert load_familiar(tmp_path, 3) is not None
    with pytest.raises(PolicyError, match="is of 3 joints; allowed: 7"):
        load_familiar(tmp_path, 7)
    path = tmp_path / FILE
    arrays = load_file(path)
    save_file(arrays, path)
    with pytest.raises(PolicyError, match="vgil checkpoint familiar"):
        load_familiar(tmp_path)
    save_file({**arrays, "points": arrays["points"][:2]}, path, {"familiar": '{"novelty": 1.0, "disagreement": null}'})
    with pytest.raises(PolicyError, match="allowed"):
        load_familiar(tmp_path)
    for about, broken in (('{"novelty": "x", "disagreement": null}', {}), ("[]", {}), (None, {"scale": np.float32(1)})):
        told = about or '{"novelty": 1.0, "disagreement": null}'
        save_file({**arrays, **{key: np.asarray(value) for key, value in broken.items()}}, path, {"familiar": told})
        with pytest.raises(PolicyError, match=FILE):
            load_familiar(tmp_path, 3)
    path.write_bytes(b"nothing")
    with pytest.raises(PolicyError, match="cannot be read"):
        load_familiar(tmp_path)


def test_how_it_was_measured_lies_beside_it(paths: list[Path], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    drawn = measure_familiar(paths, CONFIG, lambda _: random.normal(size=(3, 8, 3)))
    further = measure_familiar(paths, CONFIG, lambda _: random.normal(size=(8, 3)), 0.06)
    for found, draws, gap_s in ((measured(paths, 0.1), 1, 0.1), (drawn, 3, 0.1), (further, 1, 0.06)):
        save_familiar(tmp_path, found)
        again = load_familiar(tmp_path)
        assert again is not None
        assert (again.draws, again.gap_s) == (draws, pytest.approx(gap_s))
    shipped = load_familiar(MODELS / "sim_pick_place_act")
    assert shipped is not None
    assert shipped.disagreement == pytest.approx(0.4696, abs=1e-3)
    assert (shipped.draws, shipped.gap_s) == (None, None), "an older file tells nothing, and is read"


def test_one_episode_cannot_be_held_against_others(paths: list[Path]) -> None:
    with pytest.raises(TrainingError, match="at least two"):
        measure_familiar(paths[:1], CONFIG)


def test_a_folder_that_cannot_be_written_is_named(paths: list[Path], tmp_path: Path) -> None:
    """safetensors has an error of its own there, which is no OSError."""
    found = measured(paths)
    (tmp_path / "taken" / FILE).mkdir(parents=True)
    for folder in (tmp_path / "not_there", tmp_path / "taken"):
        with pytest.raises(
            PolicyError, match=f"{folder / FILE}: cannot be written .*; allowed: a folder one may write"
        ):
            save_familiar(folder, found)


def test_each_row_is_shown_with_its_task(paths: list[Path], tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "data", made.meta(), min_free_bytes=0)
    for t in range(41):
        made.add(writer, t, last=t == 40)
    changed = writer.close(tasks=[(made.START_NS + 20 * made.PERIOD_NS, "second")])
    told: list[str | None] = []

    def chunk(observation: RobotObservation) -> np.ndarray:
        told.append(observation.get("task"))
        return np.zeros((8, 3), np.float32)

    measure_familiar([changed, paths[0]], CONFIG, chunk)
    assert told == ["test"] * 4 + ["second"] * 4 + ["test"] * 8


@pytest.mark.parametrize(("task", "stands"), [(None, "open the drawer"), ("open the drawer", "")])
def test_the_command_measures_a_policy_that_needs_a_task(tmp_path: Path, task: str | None, stands: str) -> None:
    for rows in (12, 14):
        made.write(tmp_path / "episodes", made.meta(task=stands), rows)
    camera = {"name": "cam_a", "height": 48, "width": 64}
    config = small_flow(state_dim=3, action_dim=3, cameras=[camera], task_dim=8, task=task)
    fitted(FlowMatchingPolicy(config)).save(tmp_path / "flow")
    given = ["familiar", str(tmp_path / "flow"), "--data", str(tmp_path / "episodes")]
    done = CliRunner().invoke(app, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = load_familiar(tmp_path / "flow")
    assert found is not None
    assert found.disagreement is not None
