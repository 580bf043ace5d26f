"""Each bad input says what and where."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import made_episodes as demo
import numpy as np
import pytest

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import CameraMeta
from vgil_ros.training.config import load_config, parse_config
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.trainer import Trainer


def _train(tree: dict):
    return Trainer(parse_config(tree, "test"), progress=False, log=lambda _: None).run()


def _refused(tree: dict, words: str) -> None:
    with pytest.raises(VgilError, match=words):
        _train(tree)


def test_empty_and_missing_folders(tree, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _refused(tree(tmp_path / "empty"), r"empty: no episode \(\*\.hdf5\) in this folder")
    _refused(tree(tmp_path / "none"), "none: no such folder")


def test_broken_episode_is_named_and_skipped_only_when_asked(tree, episodes: Path) -> None:
    broken = episodes / "episode_1.hdf5"
    broken.write_bytes(broken.read_bytes()[:-3000])
    _refused(tree(episodes), r"1 of 3 episodes cannot.*episode_1\.hdf5.*--skip-bad")
    said: list[str] = []
    config = parse_config(tree(episodes, data__skip_bad=True, steps=1), "test")
    result = Trainer(config, progress=False, log=said.append).run()
    assert result.steps == 1
    assert any("episode_1.hdf5" in text and "skipped" in text for text in said)


def test_nan_in_actions_has_its_place(tree, episodes: Path) -> None:
    with h5py.File(episodes / "episode_2.hdf5", "r+") as file:
        file["action"][5, 1] = np.nan
    _refused(tree(episodes), r"episode_2\.hdf5: action is nan at row 5, column 1")


def test_mixed_dims(tree, episodes: Path) -> None:
    demo.write(episodes, demo.meta(dim=4), 5)
    _refused(tree(episodes), r"dims of qpos are mixed: .*episode_0\.hdf5 has 3, .*episode_3\.hdf5 has 4")


def test_mixed_image_sizes(tree, episodes: Path) -> None:
    demo.write(episodes, demo.meta(cameras=(CameraMeta("cam_b", 48, 64), CameraMeta("cam_a", 32, 64))), 5)
    _refused(tree(episodes), r"size of cam_a are mixed.*\(48, 64\).*episode_3\.hdf5 has \(32, 64\)")


def test_missing_camera(tree, episodes: Path) -> None:
    demo.write(episodes, demo.meta(cameras=(CameraMeta("cam_b", 48, 64),), streams=("a", "b", "cam_b")), 5)
    _refused(tree(episodes), r"episode_3\.hdf5: lacks camera cam_a; found \['cam_b'\]")
    _refused(tree(episodes, data__cameras=["cam_z"]), r"episode_0\.hdf5: lacks camera cam_z")


def test_image_that_breaks_later_is_named_from_a_worker(tree, episodes: Path) -> None:
    with h5py.File(episodes / "episode_2.hdf5", "r+") as file:
        images = file["observations/images/cam_a"]
        for row in (2, 3, 5):  # not among those the scan looks at
            images[row] = 0
    config = tree(episodes, data__workers=1, data__validation=0, steps=20)
    _refused(config, r"episode_2\.hdf5: cam_a row \d")


def test_gpu_that_is_not_there(tree, episodes: Path) -> None:
    _refused(tree(episodes, device="cuda:63"), r"'cuda:63': torch finds (no|\d+) CUDA device")
    _refused(tree(episodes, device="gpu"), "device 'gpu' is unknown")


def test_a_run_is_not_written_over(tree, episodes: Path) -> None:
    _train(tree(episodes, steps=1))
    _refused(tree(episodes, steps=1), "holds a run already.*--resume")


@pytest.fixture
def small_disk(tmp_path: Path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_no_room_at_the_start(tree, episodes: Path) -> None:
    config = tree(episodes, checkpoint__keep=10**9)
    _refused(config, r"run: \d+ MiB free on the disk; the checkpoints of this run need \d+ MiB")


@pytest.mark.parametrize("part", ["policy", "state"])
def test_a_disk_that_takes_no_more_is_said_and_what_was_saved_is_whole(tree, episodes: Path, part: str) -> None:
    """The kernel refuses to let a file grow, which needs no disk of the test's own: as a full quota does."""
    from vgil_ros.policies import load_policy

    trainer = Trainer(parse_config(tree(episodes, checkpoint__keep=0), "test"), progress=False, log=lambda _: None)
    kept = trainer._checkpoints
    save, usual = {"policy": kept.save, "state": kept.save_state}[part], resource.getrlimit(resource.RLIMIT_FSIZE)

    def save_with_little_room(*arguments: Any) -> None:
        if trainer.step < 4:
            save(*arguments)
            return
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, usual[1]))
        try:
            save(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)

    setattr(kept, {"policy": "save", "state": "save_state"}[part], save_with_little_room)
    with pytest.raises(TrainingError, match=r"run: no room left on the disk.*--resume"):
        trainer.run()
    assert not list(kept.out.glob("*.part"))
    load_policy(kept.out / "last")
    assert Trainer(trainer.config, resume=True, progress=False, log=lambda _: None).step == 2


def test_disk_that_fills_leaves_whole_checkpoints(tree, episodes: Path, small_disk: Path, tmp_path: Path) -> None:
    from vgil_ros.policies import load_policy

    config = parse_config(tree(episodes, out=str(small_disk / "run"), checkpoint__keep=0, steps=6), "test")
    trainer = Trainer(config, progress=False)
    save = trainer._checkpoints.save_state

    def fill_then_save(state: dict) -> None:
        if state["step"] == 4:
            with (small_disk / "filler").open("wb") as file:
                file.write(b"x" * (shutil.disk_usage(small_disk).free - (1 << 16)))
        save(state)

    trainer._checkpoints.save_state = fill_then_save  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"run: no room left on the disk.*--resume"):
        trainer.run()
    (small_disk / "filler").unlink()
    assert not list((small_disk / "run").glob("*.part"))
    load_policy(small_disk / "run" / "last")
    resumed = Trainer(config, resume=True, progress=False)
    assert resumed.step == 2
    assert resumed.run().steps == 6


def test_settings_are_checked(tmp_path: Path, tree) -> None:
    good = tree(tmp_path)
    for changes, words in (
        ({"optimizer": {"lrr": 1}}, r"^test: optimizer.lrr: unknown key; allowed: .*'lr'"),
        ({"steps": 0}, "steps: found 0; allowed: greater than 0"),
        ({"data": {"folders": []}}, "data.folders"),
        ({"data": {"folders": [{"path": "a", "weight": 1}, "b"]}}, "all folders a weight, or none"),
        ({"checkpoint": {"metric": "success"}}, "success needs evaluation.task"),
    ):
        with pytest.raises(TrainingError, match=words):
            parse_config({**good, **changes}, "test")
    with pytest.raises(TrainingError, match=r"configuration 'nope' is unknown; allowed: \['act'"):
        load_config("nope", [])
    with pytest.raises(TrainingError, match="allowed is key=value"):
        load_config("act", ["steps"])


def test_command_line_wins_over_the_file() -> None:
    values = {"data.folders": ["a", "b"], "out": "x", "steps": 5}
    config = load_config("act", ["steps=7", "optimizer.lr=3e-5", "policy.chunk_size=20"], values)
    assert (config.steps, config.optimizer.lr, config.policy["chunk_size"]) == (7, 3e-5, 20)
    assert [str(folder.path) for folder in config.data.folders] == ["a", "b"]
    assert load_config("act_small", [], values).ema.enabled


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy__chunk_size": 0}, "chunk_size"),
        ({"policy__surprise": 1}, r"policy: surprise: unknown key; allowed: \['type', 'chunk_size'"),
        ({"policy__state_dim": 3}, "state_dim come from the data"),
        ({"policy__type": "none such"}, "'none such' is unknown"),
    ],
)
def test_policy_settings_are_checked(tree, episodes: Path, changes: dict, words: str) -> None:
    _refused(tree(episodes, **changes), words)


def test_loss_that_is_not_finite_stops_the_run(tree, episodes: Path) -> None:
    _refused(tree(episodes, optimizer__lr=1e30, optimizer__clip_norm=None, steps=50), "the loss is not finite")
