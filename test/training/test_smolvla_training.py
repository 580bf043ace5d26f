"""Fine-tuning a SmolVLA from a checkpoint: the expert learns, what is frozen is kept on disk, and a student follows."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from support.policies.smolvla import made
from support.training import Tree

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vgil_ros[vla]'")

from vgil_ros.policies import load_policy
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.smolvla import SmolVlaConfig, SmolVlaPolicy
from vgil_ros.policies.smolvla.policy import FROZEN
from vgil_ros.training.config import parse_config
from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.pretrained.frozen_cache import FrozenCache
from vgil_ros.training.trainer import Trainer, TrainResult

POLICY = {"type": "smolvla", "chunk_size": 50, "steps": 2, "task": "pick up the cube"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A SmolVLA of another robot: fewer joints, other cameras."""
    return made(padded_dim=16, chunk_size=4).save(tmp_path / "base")


def run(tree: Tree, episodes: Path, out: Path, **changes: object) -> tuple[Trainer, TrainResult]:
    said: list[str] = []
    made_tree = tree(episodes, policy=POLICY, out=str(out), augmentation={"enabled": False}, **changes)
    trainer = Trainer(parse_config(made_tree, "test"), progress=False, log=said.append)
    assert any("chunk_size 4 (not 50)" in line for line in said), said
    return trainer, trainer.run()


def test_the_expert_learns_from_a_kept_prefix(tree: Tree, episodes: Path, base: Path, tmp_path: Path) -> None:
    cache = {"initial": str(base), "frozen_cache": str(tmp_path / "kept")}
    _, plain = run(tree, episodes, tmp_path / "plain", initial=str(base), steps=2)
    trainer, kept = run(tree, episodes, tmp_path / "cached", steps=2, **cache)
    assert plain.loss is not None
    assert kept.loss == pytest.approx(plain.loss, rel=1e-2)
    before, after = load_policy(base), load_policy(tmp_path / "cached" / "last")
    assert isinstance(after.config, SmolVlaConfig)
    assert isinstance(after, SmolVlaPolicy)
    assert (after.config.state_dim, after.config.steps, after.config.text.hidden_dim) == (3, 2, 32)
    assert after.files == before.files
    for name, weight in after.named_parameters():
        same = torch.equal(weight, before.get_parameter(name))
        assert same == (".vlm." in name), name
    assert trainer.train_step.ema is not None
    ours = trainer.policy.get_parameter("model.prefix.vlm.embed_tokens.weight")
    assert trainer.train_step.ema.policy.get_parameter("model.prefix.vlm.embed_tokens.weight") is ours, "not twice"

    calls: list[int] = []
    again = run_again(tree, episodes, tmp_path / "again", calls, **cache)
    assert again.loss == pytest.approx(kept.loss, rel=1e-6)
    seen = json.loads((tmp_path / "kept" / "frozen.json").read_text())
    assert seen["rows"] == len(trainer.data.train)
    made(padded_dim=16, chunk_size=4, max_words=9).save(tmp_path / "other")
    with pytest.raises(TrainingError, match=r"was made from something else: .*take another frozen_cache"):
        run(tree, episodes, tmp_path / "third", initial=str(tmp_path / "other"), frozen_cache=cache["frozen_cache"])


def run_again(tree: Tree, episodes: Path, out: Path, calls: list[int], **changes: object) -> TrainResult:
    """The same training; its rows are known, so that the network that learns looks at no image."""
    made_tree = tree(episodes, policy=POLICY, out=str(out), steps=2, augmentation={"enabled": False}, **changes)
    trainer = Trainer(parse_config(made_tree, "test"), progress=False, log=lambda _: None)
    assert isinstance(trainer.policy, SmolVlaPolicy)
    trainer.policy.model.prefix.vlm.connector.register_forward_hook(lambda *_: calls.append(1))
    result = trainer.run()
    assert not calls, "validation asks the running mean"
    return result


CAMERAS = [{"name": name, "height": 48, "width": 64} for name in ("cam_b", "cam_a")]
OTHERWISE = {
    "patch_positions": "lower", "image_start": (5, 6), "image_end": (7,), "empty_cameras": 1, "max_words": 9,
    "scale_factor": 4, "normalization": {"images": {"mode": "min_max"}},
}  # fmt: skip


def keep(folder: Path, episodes: Path, **changes: Any) -> FrozenCache:
    """A cache of all rows of a folder, with a tiny policy of the same random weights each time; nothing is filled."""
    policy = made(**{"state_dim": 3, "action_dim": 3, "cameras": CAMERAS, "image_start": (4,), **changes})
    return FrozenCache(folder, EpisodeDataset(scan_folder(episodes), SampleSpec(("cam_b", "cam_a"), 6)), policy)


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_kept_is_refused_for_other_settings_of_what_is_frozen(
    episodes: Path, tmp_path: Path, name: str
) -> None:
    keep(tmp_path / "kept", episodes)
    keep(tmp_path / "kept", episodes, steps=1, solver="heun", chunk_size=3, seed=4)
    with pytest.raises(TrainingError, match=f"something else: .*{name if name != 'normalization' else 'images'} "):
        keep(tmp_path / "kept", episodes, **{name: OTHERWISE[name]})


def test_every_setting_is_known_to_matter_or_not_to() -> None:
    """A new one must be put where it belongs: what is forgotten would give stale features."""
    of_the_expert = {
        "expert_dim", "expert_feedforward_dim", "self_attention_every", "min_period", "max_period", "padded_dim",
        "adapt_to_pi_aloha", "chunk_size", "steps", "solver", "seed", "teachers",
    }  # fmt: skip
    elsewhere = {"cameras", "normalization", "task"}  # in the note too, under names of their own
    rest = set(SmolVlaConfig.model_fields) - set(PolicyConfig.model_fields) - set(FROZEN) - of_the_expert - elsewhere
    assert not rest
    assert set(FROZEN) <= set(SmolVlaConfig.model_fields)


def test_what_is_kept_is_refused_once_an_episode_has_another_task(episodes: Path, tmp_path: Path) -> None:
    keep(tmp_path / "kept", episodes)
    keep(tmp_path / "kept", episodes, task="a default that no row asks for")
    for stands, words in (("open the drawer", "open the drawer"), ("", "pick up the cube")):
        with h5py.File(sorted(episodes.glob("*.hdf5"))[1], "r+") as file:
            file.attrs["task"] = stands
        with pytest.raises(TrainingError, match=r"something else: tasks \w+ \(not \w+\); take another"):
            keep(tmp_path / "kept", episodes)
        keep(tmp_path / words, episodes, task="pick up the cube")
        keep(tmp_path / words, episodes, task="pick up the cube")
    with pytest.raises(TrainingError, match="tasks"):
        keep(tmp_path / "pick up the cube", episodes, task="another that stands in for none")


def test_room_is_taken_at_once_and_a_disk_without_it_is_named(episodes: Path, tmp_path: Path) -> None:
    kept = keep(tmp_path / "kept", episodes)
    for name in kept._parts:
        size = (tmp_path / "kept" / f"{name}.npy").stat()
        assert size.st_blocks * 512 >= size.st_size, f"{name} is sparse"
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, usual[1]))  # the kernel refuses to let a file grow
    try:
        with pytest.raises(TrainingError, match=r"full: no room for what is to be kept of each row: \d+ MiB .*allowed"):
            keep(tmp_path / "full", episodes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not list((tmp_path / "full").iterdir()), "what was begun is not left to fill the disk"
    keep(tmp_path / "full", episodes)


def test_rows_count_as_done_once_they_are_on_the_disk(
    episodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(tmp_path / "kept", episodes)
    data = EpisodeDataset(scan_folder(episodes), SampleSpec(("cam_b", "cam_a"), 6))
    flush, flushed = np.memmap.flush, []

    def noted(array: np.memmap) -> None:
        flushed.append(bool(kept._done.any()))
        flush(array)

    monkeypatch.setattr(np.memmap, "flush", noted)
    kept(data.batch([1, 4]))
    assert flushed == [False] * 3, "keys, values and what is known, before any is marked"
    assert np.flatnonzero(kept._done).tolist() == [1, 4]


def test_a_student_is_trained_from_it(tree: Tree, episodes: Path, base: Path, tmp_path: Path) -> None:
    run(tree, episodes, tmp_path / "teacher", initial=str(base), steps=2)
    teach = {"teacher": str(tmp_path / "teacher" / "last"), "cache": str(tmp_path / "pairs"), "draws": 1}
    made_tree = tree(episodes, policy={"type": "smolvla", "steps": 1}, out=str(tmp_path / "student"), steps=2)
    made_tree |= {"augmentation": {"enabled": False}, "distillation": teach, "frozen_cache": str(tmp_path / "kept")}
    Trainer(parse_config(made_tree, "test"), progress=False, log=lambda _: None).run()
    student = load_policy(tmp_path / "student" / "last").config
    assert isinstance(student, SmolVlaConfig)
    assert student.steps == 1
    assert [note.steps for note in student.teachers] == [2]


def test_what_cannot_be_trained_is_refused(tree: Tree, episodes: Path, base: Path, tmp_path: Path) -> None:
    def train(**changes: object) -> None:
        made_tree = tree(episodes, out=str(tmp_path / "run"), augmentation={"enabled": False})
        made_tree |= changes
        Trainer(parse_config(made_tree, "test"), progress=False, log=lambda _: None)

    with pytest.raises(TrainingError, match="found no `initial`; allowed: initial=FOLDER"):
        train(policy={"type": "smolvla"})
    with pytest.raises(TrainingError, match=r"of type 'smolvla'; allowed: policy\.type, 'act'"):
        train(initial=str(base))
    with pytest.raises(TrainingError, match="'act' has no part that never learns"):
        train(frozen_cache=str(tmp_path / "kept"))
    with pytest.raises(TrainingError, match="disable augmentation"):
        train(frozen_cache=str(tmp_path / "kept"), augmentation={"enabled": True})
    with pytest.raises(TrainingError, match="allowed: one of them"):
        train(initial=str(base), distillation={"teacher": str(base)})
