"""Training with further vectors: they stand behind qpos, each normalised by itself, and the checkpoint says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

from support.contracts import small_robot
from support.episodes import made_episodes as made
from support.training import Tree

from vgil_ros.episodes import EpisodeWriter
from vgil_ros.episodes.meta import VectorMeta
from vgil_ros.policies import load_policy
from vgil_ros.training.build import load_data
from vgil_ros.training.config import parse_config
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.trainer import Trainer

VECTORS = (VectorMeta("wrench", 6), VectorMeta("tcp", 2))


def felt(t: int) -> dict[str, np.ndarray]:
    return {"wrench": 10.0 * np.arange(6) + 0.5 * t, "tcp": np.array([0.1, 0.2]) + 0.01 * t}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two episodes that hold a wrench and a place."""
    where, meta = tmp_path / "episodes", made.meta(vectors=VECTORS)
    for rows in (8, 9):
        writer = EpisodeWriter(where, meta, min_free_bytes=0)
        for t in range(rows + 1):
            seen: Any = made.observation(t, meta)
            seen["vectors"] = felt(t)
            made.add(writer, t, last=t == rows, seen=seen)
        writer.close()
    return where


def test_a_batch_has_them_behind_qpos_in_the_order_that_is_asked_for(folder: Path, tree: Tree) -> None:
    data = load_data(parse_config(tree(folder, data__vectors=["tcp", "wrench"]), "test"), lambda _: None)
    assert [(v.name, v.size) for v in data.policy.vectors] == [("tcp", 2), ("wrench", 6)]
    assert data.policy.state_dim == 3 + 8
    batch = data.train.batch([4])
    assert batch["qpos"][0, 3:].tolist() == pytest.approx([*felt(4)["tcp"], *felt(4)["wrench"]])
    plain = load_data(parse_config(tree(folder), "test"), lambda _: None)
    assert plain.policy.vectors == ()
    assert plain.fingerprint != data.fingerprint


def test_a_training_keeps_which_it_takes_and_how_they_are_scaled(folder: Path, tree: Tree, tmp_path: Path) -> None:
    config = parse_config(tree(folder, data__vectors=["wrench"], data__validation=0.0, steps=2), "test")
    Trainer(config, progress=False, log=lambda _: None).run()
    policy = load_policy(tmp_path / "run" / "last")
    assert policy.config.vector_names == ("wrench",)
    rows = np.concatenate([[felt(t)["wrench"] for t in range(count)] for count in (8, 9)])
    assert policy.normalizer.qpos.mean[3:].tolist() == pytest.approx(rows.mean(axis=0).tolist(), abs=1e-4)
    assert policy.normalizer.qpos.std[3:].tolist() == pytest.approx(rows.std(axis=0, ddof=1).tolist(), abs=1e-4)


def test_what_they_mean_is_the_same_in_all_that_take_them(tree: Tree, tmp_path: Path) -> None:
    where = tmp_path / "episodes"
    for kind in ("wrench", "twist"):
        vectors: list[dict[str, Any]] = [{"name": "wrench", "topic": "/w", "type": kind}]
        vectors += [{"name": "tcp", "topic": "/t", "type": "float64_multi_array", "size": 2, "stamp": "arrival"}]
        contract = yaml.safe_dump(small_robot(vectors=vectors))
        meta = made.meta(vectors=VECTORS, contract=contract)
        writer = EpisodeWriter(where, meta, min_free_bytes=0)
        for t in range(9):
            seen: Any = made.observation(t, meta)
            seen["vectors"] = felt(t)
            made.add(writer, t, last=t == 8, seen=seen)
        writer.close()
    with pytest.raises(TrainingError, match=r"vector wrench is not the same in all episodes: .* has wrench, .* twist"):
        load_data(parse_config(tree(where, data__vectors=["wrench"]), "test"), lambda _: None)
    data = load_data(parse_config(tree(where, data__vectors=["tcp"]), "test"), lambda _: None)
    assert [v.meaning for v in data.policy.vectors] == ["float64_multi_array"]


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (["force"], r"lacks vector force, or it holds NaN or infinity; found \['wrench', 'tcp'\]"),
        (["tcp", "tcp"], r"data.vectors is \['tcp', 'tcp'\]; allowed: each name once"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, tree: Tree, vectors: list[str], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        load_data(parse_config(tree(folder, data__vectors=vectors), "test"), lambda _: None)
