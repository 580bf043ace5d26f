"""Each bad input says what and where."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from support.episodes import made_episodes as demo
from support.training import Tree

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import CameraMeta, EpisodeWriter
from vgil_ros.training.config import load_config, parse_config
from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.trainer import Trainer, TrainResult


def _train(tree: dict) -> TrainResult:
    return Trainer(parse_config(tree, "test"), progress=False, log=lambda _: None).run()


def _refused(tree: dict, words: str) -> None:
    with pytest.raises(VgilError, match=words):
        _train(tree)


def test_empty_and_missing_folders(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _refused(tree(tmp_path / "empty"), r"empty: no episode \(\*\.hdf5\) in this folder")
    _refused(tree(tmp_path / "none"), "none: no such folder")


def test_broken_episode_is_named_and_skipped_only_when_asked(tree: Tree, episodes: Path) -> None:
    broken = episodes / "episode_1.hdf5"
    broken.write_bytes(broken.read_bytes()[:-3000])
    _refused(tree(episodes), r"1 of 3 episodes cannot.*episode_1\.hdf5.*--skip-bad")
    said: list[str] = []
    config = parse_config(tree(episodes, data__skip_bad=True, steps=1), "test")
    result = Trainer(config, progress=False, log=said.append).run()
    assert result.steps == 1
    assert any("episode_1.hdf5" in text and "skipped" in text for text in said)


def test_nan_in_actions_has_its_place(tree: Tree, episodes: Path) -> None:
    with h5py.File(episodes / "episode_2.hdf5", "r+") as file:
        file["action"][5, 1] = np.nan
    _refused(tree(episodes), r"episode_2\.hdf5: action is nan at row 5, column 1")


def test_mixed_dims(tree: Tree, episodes: Path) -> None:
    demo.write(episodes, demo.meta(dim=4), 5)
    _refused(
        tree(episodes),
        r"columns of qpos is not the same in all episodes: .*episode_0\.hdf5 has 3, .*episode_3\.hdf5 has 4",
    )


def test_mixed_image_sizes(tree: Tree, episodes: Path) -> None:
    demo.write(episodes, demo.meta(cameras=(CameraMeta("cam_b", 48, 64), CameraMeta("cam_a", 32, 64))), 5)
    _refused(tree(episodes), r"size of cam_a is not the same.*48x64.*episode_3\.hdf5 has 32x64")


def test_missing_camera(tree: Tree, episodes: Path) -> None:
    demo.write(episodes, demo.meta(cameras=(CameraMeta("cam_b", 48, 64),), streams=("a", "b", "cam_b")), 5)
    _refused(tree(episodes), r"episode_3\.hdf5: lacks camera cam_a; found \['cam_b'\]")
    _refused(tree(episodes, data__cameras=["cam_z"]), r"episode_0\.hdf5: lacks camera cam_z")


def test_an_image_that_is_no_whole_jpeg_is_found_before_the_first_step(tree: Tree, episodes: Path) -> None:
    with h5py.File(episodes / "episode_2.hdf5", "r+") as file:
        images = file["observations/images/cam_a"]
        for row in (2, 3, 5):  # not among those that are decoded
            images[row] = 0
    _refused(tree(episodes), r"episode_2\.hdf5: cam_a: no whole JPEG at rows 2-3, 5.*--skip-bad")
    assert _train(tree(episodes, data__skip_bad=True, steps=1)).steps == 1


def _spoil(path: Path, camera: str, row: int) -> None:
    """Leave a JPEG its start and end, so that only its decoding fails."""
    with h5py.File(path, "r+") as file:
        images = file[f"observations/images/{camera}"]
        data = images[row]
        end = len(data.tobytes().rstrip(b"\0"))
        data[2 : end - 2] = 1
        images[row] = data


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_does_not_decode_is_left_out_and_said_once(tree: Tree, episodes: Path, workers: int) -> None:
    _spoil(episodes / "episode_2.hdf5", "cam_a", 3)
    said: list[str] = []
    config = parse_config(tree(episodes, data__workers=workers, data__validation=0, steps=14), "test")
    assert Trainer(config, progress=False, log=said.append).run().steps == 14
    spoken = [text for text in said if "left out" in text]
    assert len(spoken) <= 1 or workers  # each loader says it once
    assert re.search(r"episode_2\.hdf5: cam_a row 3.*; left out", spoken[0])


def test_a_row_with_a_bad_image_gives_its_place_to_the_next_one(episodes: Path) -> None:
    _spoil(episodes / "episode_2.hdf5", "cam_a", 3)
    data = EpisodeDataset(scan_folder(episodes), SampleSpec(("cam_b", "cam_a"), 4))
    bad = int(data.rows_of(2)[3])
    batch = data.batch([0, bad])
    good = data.batch([0, bad + 1])
    assert batch["index"].tolist() == [0, bad + 1]
    assert torch.equal(batch["qpos"], good["qpos"])
    assert torch.equal(batch["images"]["cam_a"], good["images"]["cam_a"])
    assert len(batch["left_out"]) == 1


def test_rows_that_are_not_wanted_do_not_count_as_tried(tmp_path: Path) -> None:
    """A bad image in the last row, after which 25 rows come in which nothing moves yet."""
    writer = EpisodeWriter(tmp_path / "waits", demo.meta(), min_free_bytes=0)
    for t in range(31):
        demo.add(writer, t, last=t == 30, still=24)
    writer.close()
    stats = scan_folder(tmp_path / "waits")
    _spoil(stats[0].path, "cam_a", 29)
    data = EpisodeDataset(stats, SampleSpec(("cam_b", "cam_a"), 4), skip_still=True)
    assert data.usable.tolist() == list(range(25, 30))
    assert data.batch([29])["index"].tolist() == [25]


def test_gpu_that_is_not_there(tree: Tree, episodes: Path) -> None:
    _refused(tree(episodes, device="cuda:63"), r"'cuda:63': torch finds (no|\d+) CUDA device")
    _refused(tree(episodes, device="gpu"), "device 'gpu' is unknown")


def test_a_run_is_not_written_over(tree: Tree, episodes: Path) -> None:
    _train(tree(episodes, steps=1))
    _refused(tree(episodes, steps=1), "holds a run already.*--resume")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_no_room_at_the_start(tree: Tree, episodes: Path) -> None:
    config = tree(episodes, checkpoint__keep=10**9)
    _refused(config, r"run: \d+ MiB free on the disk; the checkpoints of this run need \d+ MiB")


@pytest.mark.parametrize("part", ["policy", "state"])
def test_a_disk_that_takes_no_more_is_said_and_what_was_saved_is_whole(tree: Tree, episodes: Path, part: str) -> None:
    """The kernel refuses to let a file grow, which needs no disk of the test's own: as a full quota does."""
    from vgil_ros.policies import load_policy

    trainer = Trainer(parse_config(tree(episodes, checkpoint__keep=0), "test"), progress=False, log=lambda _: None)
    kept = trainer._checkpoints
    saves: dict[str, Callable[..., Any]] = {"policy": kept.save, "state": kept.save_state}
    save, usual = saves[part], resource.getrlimit(resource.RLIMIT_FSIZE)

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


def test_a_log_that_a_full_disk_does_not_take_is_said(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    closed = []
    trainer = Trainer(parse_config(tree(episodes), "test"), progress=False, log=lambda _: None)
    learn, close = trainer.train_step.learn, trainer.data.train.close

    def learn_with_little_room(*arguments: Any) -> Any:
        if trainer.step == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "run" / "log.jsonl").stat().st_size, usual[1]))
        return learn(*arguments)

    trainer.train_step.learn = learn_with_little_room  # type: ignore[method-assign, assignment]
    trainer.data.train.close = lambda: (close(), closed.append(1))[0]  # type: ignore[method-assign, func-returns-value]
    try:
        with pytest.raises(TrainingError, match=r"run: no room left on the disk.*--resume"):
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert closed, "and its episodes are closed"
    assert Trainer(trainer.config, resume=True, progress=False, log=lambda _: None).step == 2


def test_disk_that_fills_leaves_whole_checkpoints(tree: Tree, episodes: Path, small_disk: Path, tmp_path: Path) -> None:
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


def test_settings_are_checked(tmp_path: Path, tree: Tree) -> None:
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
def test_policy_settings_are_checked(tree: Tree, episodes: Path, changes: dict, words: str) -> None:
    _refused(tree(episodes, **changes), words)


def test_loss_that_is_not_finite_stops_the_run(tree: Tree, episodes: Path) -> None:
    _refused(tree(episodes, optimizer__lr=1e30, optimizer__clip_norm=None, steps=50), "the loss is not finite")
