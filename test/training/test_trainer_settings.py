"""What a configuration asks for reaches the step, and what a step gives reaches every log."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.episodes import made_episodes
from torch import nn

from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import load_policy
from vgil_ros.training.build import load_data
from vgil_ros.training.config import parse_config
from vgil_ros.training.data import image_cache
from vgil_ros.training.data.image_cache import EpisodeFileCache
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.optimization import Ema
from vgil_ros.training.run_log import draw_curves, read_log
from vgil_ros.training.trainer import Trainer

Tree = Callable[..., dict]


def _trainer(tree: dict, *, progress: bool = False) -> Trainer:
    return Trainer(parse_config(tree, "test"), progress=progress, log=lambda _: None)


@pytest.mark.parametrize("enabled", [True, False])
def test_images_are_changed_in_training_alone(tree: Tree, episodes: Path, enabled: bool) -> None:
    trainer = _trainer(tree(episodes, steps=1, augmentation__enabled=enabled, ema__enabled=False))
    seen: list[tuple[bool, dict[str, Any]]] = []
    loss = trainer.policy.compute_loss
    trainer.policy.compute_loss = lambda batch: seen.append((trainer.policy.training, batch)) or loss(batch)  # type: ignore
    trainer.run()
    assert [training for training, _ in seen].count(True) == 1
    assert len(seen) > 1
    for training, batch in seen:
        plain = (trainer.data.train if training else trainer.data.validation).batch(batch["index"].tolist())
        same = [torch.equal(batch["images"][name], plain["images"][name]) for name in plain["images"]]
        assert all(same) != (training and enabled)
        assert any(same) != (training and enabled)


def test_gradients_are_clipped_and_the_log_has_what_they_were(tree: Tree, episodes: Path) -> None:
    for name, clip in (("clipped", 1e-3), ("free", None)):
        out = str(episodes.parent / name)
        trainer = _trainer(tree(episodes, out=out, steps=1, optimizer__clip_norm=clip))
        trainer.run()
        logged = next(one["grad_norm"] for one in read_log(Path(out) / "log.jsonl") if one["kind"] == "train")
        left = float(torch.stack([p.grad.norm() for p in trainer.policy.parameters() if p.grad is not None]).norm())
        assert logged > 0.01
        assert left == pytest.approx(clip or logged, rel=1e-2)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_precision_is_that_of_training_and_validation(
    tree: Tree, episodes: Path, precision: str, dtype: torch.dtype
) -> None:
    trainer = _trainer(tree(episodes, steps=1, precision=precision, ema__enabled=False))
    seen: set[tuple[bool, torch.dtype]] = set()
    for part in trainer.policy.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            part.register_forward_hook(lambda _, __, out: seen.add((trainer.policy.training, out.dtype)))
    trainer.run()
    # the loss is validated as it is trained; the action's error is that of what a robot plays, in float32
    assert seen == {(True, dtype), (False, dtype), (False, torch.float32)}
    assert all(p.dtype == torch.float32 for p in trainer.policy.parameters()), "the weights stay as they are"


def test_the_saved_policy_is_the_running_mean(tree: Tree, episodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: the decay rises as (1 + n) / (10 + n) to what was asked for."""
    trainer = _trainer(tree(episodes, steps=3, ema__decay=0.15, optimizer__lr=1e-2))
    mean = {key: value.clone() for key, value in trainer.policy.state_dict().items()}
    update = Ema.update

    def noted(ema: Ema, step: int) -> None:
        decay = (0.1, 0.15, 0.15)[step]
        for key, value in trainer.policy.state_dict().items():
            if value.is_floating_point():
                mean[key] = decay * mean[key] + (1 - decay) * value
        update(ema, step)

    monkeypatch.setattr(Ema, "update", noted)
    out = trainer.run().out
    saved, trained = load_policy(out / "last").state_dict(), trainer.policy.state_dict()
    for key, value in mean.items():
        torch.testing.assert_close(saved[key], value, atol=1e-6, rtol=1e-4)
    assert any(not torch.allclose(saved[key], trained[key], atol=1e-5) for key in mean)


def test_weights_that_are_taken_keep_the_scaling_they_learnt_with(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    given = tree(episodes, steps=1, out=str(tmp_path / "base"))
    scaling = {"action": {"mode": "min_max"}, "images": {"mode": "unit"}}
    given["policy"] |= {"normalization": scaling}
    _trainer(given).run()
    initial = str(tmp_path / "base" / "last")
    fine = _trainer(tree(episodes, out=str(tmp_path / "fine"), initial=initial)).policy.config.normalization
    assert (fine.qpos.mode, fine.action.mode, fine.images.mode) == ("mean_std", "min_max", "unit")
    given = tree(episodes, out=str(tmp_path / "own"), initial=initial)
    given["policy"] |= {"normalization": {"images": {"mode": "imagenet"}}}
    own = _trainer(given).policy.config.normalization
    assert (own.action.mode, own.images.mode) == ("mean_std", "imagenet"), "a deliberate change"


def test_folders_are_split_by_episode_and_mixed_by_weight(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for rows in (5, 6, 8):
        made_episodes.write(other, made_episodes.meta(), rows)
    folders = [{"path": str(episodes), "weight": 1.0}, {"path": str(other), "weight": 4.0}]
    data = load_data(parse_config(tree(episodes, data__folders=folders, data__validation=0.34), "test"), print)
    train, validation = ([one.path for one in part.episodes] for part in (data.train, data.validation))
    assert sorted(train + validation) == sorted([*episodes.glob("*.hdf5"), *other.glob("*.hdf5")])
    assert sorted(path.parent.name for path in validation) == ["episodes", "other"]
    drawn = data.sampling.batch(0, data.sampling.length)
    sources = [train[data.train.locate(int(index))[0]].parent for index in drawn]
    assert sources.count(other) == round(0.8 * len(drawn))


def test_each_file_is_opened_once_and_no_more_than_allowed(episodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[EpisodeReader] = []

    class Counted(EpisodeReader):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            opened.append(self)

    monkeypatch.setattr(image_cache, "open_episode", Counted)
    monkeypatch.setattr("resource.getrlimit", lambda _: (0, 0))
    files = EpisodeFileCache([one.path for one in scan_folder(episodes)] * 4, base=False)
    for number in [*range(8), *range(8)]:
        files.get(number)
    assert len(opened) == 8
    files.get(8)
    assert [bool(one.file) for one in opened] == [False] + [True] * 8, "the one that was not used for longest"
    files.get(0)
    assert len(opened) == 10
    files.close()
    assert not any(bool(one.file) for one in opened)


def test_every_log_gets_every_record(
    tree: Tree, episodes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """wandb is not installed here: a stand-in takes what it would be told."""
    told: list[tuple[int, dict[str, Any]]] = []
    run = types.SimpleNamespace(
        log=lambda numbers, step: told.append((step, numbers)), finish=lambda: told.append((0, {}))
    )

    def init(**given: Any) -> types.SimpleNamespace:
        told.append((-1, given))
        return run

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    config = tree(episodes, steps=3, checkpoint__every=3, log__tensorboard=True, log__wandb_project="picking")
    out = _trainer(config, progress=True).run().out
    records = read_log(out / "log.jsonl")
    assert [(one["kind"], one["step"]) for one in records] == [("train", n) for n in (1, 2, 3)] + [("validation", 3)]
    (_, given), *logged, (ended, _) = told
    assert given["project"] == "picking"
    assert ended == 0
    assert [step for step, _ in logged] == [1, 2, 3, 3]
    assert [numbers["train/loss"] for _, numbers in logged[:3]] == [one["loss"] for one in records[:3]]
    assert logged[3][1]["validation/loss"] == records[3]["loss"]
    shown = capsys.readouterr().err
    assert "train: 100%" in shown
    assert "3/3" in shown
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = accumulator.EventAccumulator(str(out / "tensorboard"))
    board.Reload()
    for kind in ("train", "validation"):
        wanted = [(one["step"], pytest.approx(one["loss"], rel=1e-6)) for one in records if one["kind"] == kind]
        assert [(event.step, event.value) for event in board.Scalars(f"{kind}/loss")] == wanted


def test_wandb_that_is_asked_for_and_missing_is_said(
    tree: Tree, episodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainingError, match=r"log\.wandb_project is given, but wandb is not installed"):
        _trainer(tree(episodes, log__wandb_project="picking")).run()


def test_curves_show_every_kind_of_record(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    train = [
        {"kind": "train", "step": n, "loss": 1 / n, "l1": 1 / n, "lr": 1e-4, "samples_per_s": 9.0} for n in (1, 2, 3)
    ]
    more = [{"kind": "validation", "step": 2, "loss": 0.7}, {"kind": "rollouts", "step": 2, "success": 0.5}]
    colours = []
    for records in ([], train, train + more[:1], train + more):
        assert draw_curves(records, tmp_path / "curves.png")
        read = cv2.imread(str(tmp_path / "curves.png"))
        assert read is not None
        image = read.reshape(-1, 3).astype(int)
        colours.append(int((np.ptp(image, axis=1) > 40).sum()))  # coloured pixels: lines and dots
    assert colours[0] == 0
    assert colours == sorted(set(colours)), "each record adds something to see"
    assert not list(tmp_path.glob("*.part*"))
