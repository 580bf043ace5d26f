"""Trainings that are cut off, shared, and driven to the end on every layout."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support.paths import EPISODE_GOLDENS as GOLDEN
from support.training import Tree

from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import load_policy
from vgil_ros.policies.device import one_thread
from vgil_ros.training.build import rate_factor
from vgil_ros.training.config import ScheduleConfig, parse_config
from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
from vgil_ros.training.data.episode_stats import read_episode_stats
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.run_log import JsonLines, read_log
from vgil_ros.training.trainer import Trainer

LAYOUTS = sorted(path.stem for path in GOLDEN.glob("*.hdf5"))
SCRIPT = """
import os, pathlib, sys, torch, yaml
from vgil_ros.training.config import parse_config
from vgil_ros.training.trainer import Trainer
trainer = Trainer(parse_config(yaml.safe_load(open(sys.argv[1])), "test"), progress=False)
mine = pathlib.Path(sys.argv[1]).parent / f"rank_{trainer.accelerator.rank}"
mine.write_text(str(os.getpid()))
try:
    trainer.run()
except KeyboardInterrupt:
    mine.with_name(mine.name + "_ended").write_text(str(trainer.step))
    raise
finally:
    trainer.close()
"""


PLAIN = {"policy__dropout": 0.0, "policy__cvae_layers": 0}  # nothing random within the policy


def _run(tree: dict, **more: Any) -> list[dict]:
    Trainer(parse_config(tree, "test"), progress=False, log=lambda _: None, **more).run()
    return read_log(Path(tree["out"]) / "log.jsonl")


def _curve(log: list[dict], kind: str = "train") -> dict[int, float]:
    return {record["step"]: record["loss"] for record in log if record["kind"] == kind}


def _start(tree: dict, tmp_path: Path, command: list[str], environment: dict[str, str]) -> subprocess.Popen:
    (tmp_path / "tree.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "script.py").write_text(SCRIPT)
    return subprocess.Popen([*command, str(tmp_path / "script.py"), str(tmp_path / "tree.yaml")], env=environment)


def test_killed_and_resumed_gives_the_unbroken_curve(
    tree: Tree, episodes: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """With dropout, the CVAE's noise, augmentation, the running mean and both kinds of worker."""
    changes = {"steps": 14, "checkpoint__every": 4, "log__every": 3}
    whole = _run(tree(episodes, out=str(tmp_path / "whole"), **changes))
    cut = tree(episodes, out=str(tmp_path / "cut"), data__workers=1, **changes)
    log = tmp_path / "cut" / "log.jsonl"
    process = _start({**cut, "steps": 14}, tmp_path, [sys.executable], environment)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and len(_curve(read_log(log))) >= 2:  # after the checkpoint of step 4
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL
    load_policy(tmp_path / "cut" / "last")
    config = parse_config(cut, "test")
    resumed = Trainer(config, resume=True, progress=False)
    assert 4 <= resumed.step < 14
    resumed.run()
    for kind in ("train", "validation"):
        ours, theirs = _curve(read_log(log), kind), _curve(whole, kind)
        assert list(ours) == list(theirs)
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-5)
    weights = [load_policy(tmp_path / run / "last").state_dict() for run in ("whole", "cut")]
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_two_processes_give_the_loss_of_one(
    tree: Tree, episodes: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    changes = {"steps": 6, "batch_size": 8, **PLAIN}
    one = _run(tree(episodes, out=str(tmp_path / "one"), **changes))
    two = tree(episodes, out=str(tmp_path / "two"), **changes)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert _start(two, tmp_path, torchrun, environment).wait(timeout=280) == 0
    log = read_log(tmp_path / "two" / "log.jsonl")
    ours, theirs = _curve(log), _curve(one)
    assert list(ours) == list(theirs) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), atol=1e-3)
    assert len(set(ours.values())) == 6  # it learns: the weights' changes agree too


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_two_processes_give_the_curve_of_one_in_two_parts_which_goes_on_where_they_ended(
    tree: Tree, episodes: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """With dropout, the CVAE's noise, augmentation: what is random follows from a part's number, whoever takes it."""
    changes = {"batch_size": 8, "checkpoint__every": 3, "schedule__kind": "constant"}
    with one_thread():  # as torchrun's processes have
        one = _run(tree(episodes, out=str(tmp_path / "one"), steps=6, gradient_accumulation=2, **changes))
        two = tree(episodes, out=str(tmp_path / "two"), steps=3, **changes)
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        assert _start(two, tmp_path, torchrun, environment).wait(timeout=280) == 0
        first = _curve(read_log(tmp_path / "two" / "log.jsonl"))
        assert list(first) == [1, 2, 3]
        _run({**two, "steps": 6, "gradient_accumulation": 2}, resume=True)
    ours, theirs = _curve(read_log(tmp_path / "two" / "log.jsonl")), _curve(one)
    assert list(ours) == list(theirs) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=0, atol=1e-6)
    assert len(set(ours.values())) == 6, "it learns: the weights' changes agree too"


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    changes = {"steps": 6, "batch_size": 8, **PLAIN}
    whole = _curve(_run(tree(episodes, out=str(tmp_path / "whole"), **changes)))
    parts = _curve(_run(tree(episodes, out=str(tmp_path / "parts"), gradient_accumulation=4, **changes)))
    np.testing.assert_allclose(list(parts.values()), list(whole.values()), atol=1e-3)
    with pytest.raises(TrainingError, match=r"batch_size 8 .* gradient_accumulation 3; allowed: a multiple of 3"):
        _run(tree(episodes, out=str(tmp_path / "odd"), gradient_accumulation=3, **changes))


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_ctrl_c_in_one_of_two_processes_ends_both_after_the_same_step_which_is_saved(
    tree: Tree, episodes: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    changes = {"steps": 5000, "batch_size": 4, "checkpoint__every": 5000, "data__validation": 0.0}
    shared = tree(episodes, out=str(tmp_path / "run"), **changes)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = _start(shared, tmp_path, torchrun, environment)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 200
    while process.poll() is None and not (log.exists() and len(_curve(read_log(log))) >= 3):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(int((tmp_path / "rank_1").read_text()), signal.SIGINT)
    assert process.wait(timeout=100) != 0
    assert (tmp_path / "rank_0_ended").read_text() == (tmp_path / "rank_1_ended").read_text()
    resumed = Trainer(parse_config(shared, "test"), resume=True, progress=False)
    assert 3 <= resumed.step < 5000
    assert resumed.step == int((tmp_path / "rank_0_ended").read_text()) == max(_curve(read_log(log)))
    assert load_policy(tmp_path / "run" / "last").config.type == "act"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_trains(layout: str, tree: Tree, tmp_path: Path) -> None:
    log = _run(tree(GOLDEN / f"{layout}.hdf5", steps=2))
    assert list(_curve(log)) == [1, 2]
    stats = read_episode_stats(GOLDEN / f"{layout}.hdf5")
    policy = load_policy(tmp_path / "run" / "last")
    assert policy.config.camera_names == tuple(stats.cameras)
    assert policy.config.fingerprint is not None
    with EpisodeReader(stats.path) as episode:
        images = {name: episode.image(name, 0)[None] for name in stats.cameras}
        chunk = policy.predict_chunk({"qpos": episode.qpos[:1].astype(np.float32), "images": images})
    assert chunk.shape == (1, 4, len(stats.action.mean))


def test_a_golden_episode_is_learnt_by_heart(tree: Tree, tmp_path: Path) -> None:
    """From the images alone would be harder; the L1 is of the saved policy, in normalised units."""
    path = GOLDEN / "aloha.hdf5"
    changes = {
        "steps": 400,
        "batch_size": 6,
        "log__every": 50,
        "checkpoint__every": 400,
        "optimizer__lr": 2e-3,
        **PLAIN,
    }
    _run(tree(path, augmentation__enabled=False, ema__decay=0.9, data__cameras=["cam_high"], **changes))
    policy = load_policy(tmp_path / "run" / "last")
    batch = EpisodeDataset([read_episode_stats(path)], SampleSpec(("cam_high",), 4)).batch(range(6))
    with torch.no_grad():
        found = policy.normalizer.action(policy.predict_chunk(batch))
    wrong = (found - policy.normalizer.action(batch["action"])).abs()[~batch["is_pad"]].mean()
    assert float(wrong) < 0.05


def test_bf16_and_two_weighted_folders_train(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    folders = [{"path": str(episodes), "weight": 1.0}, {"path": str(episodes / "episode_0.hdf5"), "weight": 3.0}]
    changes = {"precision": "bf16", "data__folders": folders, "optimizer__backbone_lr": 1e-6}
    log = _run(tree(episodes, **changes))
    assert log[0]["lr_backbone"] == pytest.approx(log[0]["lr"] / 100)


@pytest.mark.parametrize("metric", ["action_error", "validation_loss"])
def test_best_and_kept_are_those_of_the_lowest(tree: Tree, episodes: Path, tmp_path: Path, metric: str) -> None:
    changes = {"steps": 6, "checkpoint__every": 1, "checkpoint__keep": 2, "checkpoint__metric": metric}
    log = _run(tree(episodes, ema__enabled=False, **changes))
    key = {"validation_loss": "loss"}.get(metric, metric)
    losses = {record["step"]: record[key] for record in log if record["kind"] == "validation"}
    kept = sorted(losses, key=losses.__getitem__)[:2]
    out = tmp_path / "run"
    assert sorted(path.name for path in out.glob("step_*")) == sorted(f"step_{step:08d}" for step in kept)
    best, own = (load_policy(out / name).state_dict() for name in ("best", f"step_{kept[0]:08d}"))
    assert all(torch.equal(best[key], own[key]) for key in best)
    assert (out / "curves.png").exists() == (importlib.util.find_spec("matplotlib") is not None)


def test_success_of_rollouts_chooses_the_best(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    scores = iter([0.2, 0.9, 0.5])
    changes = {"steps": 3, "checkpoint__every": 1, "checkpoint__metric": "success", "evaluation__task": "pick_place"}
    log = _run(tree(episodes, **changes), evaluate=lambda folder: {"success": next(scores)})
    assert [record["success"] for record in log if record["kind"] == "rollouts"] == [0.2, 0.9, 0.5]
    best, own = (load_policy(tmp_path / "run" / name).state_dict() for name in ("best", "step_00000002"))
    assert all(torch.equal(best[key], own[key]) for key in best)


def test_rollouts_that_fail_cost_no_step(tree: Tree, episodes: Path) -> None:
    made = tree(episodes, steps=3, checkpoint__every=2, evaluation__task="pick_place")
    config = parse_config(made, "test")

    def break_off(_: Path) -> dict[str, float]:
        raise RuntimeError("no GPU to render with")

    with pytest.raises(RuntimeError, match="no GPU"):
        Trainer(config, progress=False, log=lambda _: None, evaluate=break_off).run()
    again = Trainer(config, resume=True, progress=False, log=lambda _: None, evaluate=lambda _: {"success": 1.0})
    assert again.step == 2
    assert again.run().steps == 3


def test_a_warm_up_that_outlasts_the_run_is_said(tree: Tree, episodes: Path) -> None:
    said: list[str] = []
    made = tree(episodes, steps=1, schedule__warmup_steps=5)
    Trainer(parse_config(made, "test"), progress=False, log=said.append).run()
    assert any("schedule.warmup_steps is 5 of 1 steps" in words for words in said)


def test_a_half_written_line_is_dropped_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"kind": "train", "step": 1}\n{"kind": "train", "step": 2}\n{"kind": "tr')
    lines = JsonLines(path, after=1)
    lines.write({"kind": "train", "step": 2, "loss": float("nan")})
    lines.close()
    assert [(r["step"], r.get("loss")) for r in read_log(path)] == [(1, None), (2, None)]


def test_rate_warms_up_and_falls() -> None:
    schedule = ScheduleConfig(kind="cosine", warmup_steps=4, final=0.1)
    rates = [rate_factor(schedule, step, 20) for step in range(20)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(a >= b for a, b in itertools.pairwise(rates[3:]))
    assert rates[-1] == pytest.approx(0.1)
