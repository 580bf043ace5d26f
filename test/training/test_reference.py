"""The reference of a checkpoint: made of episodes, stored without loss that matters, written by every training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from support.training import Tree
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.core.config import validate
from vgil_ros.episodes import EpisodeReader
from vgil_ros.policies import read_config
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.reference import REFERENCE_FILE, encode_reference, read_reference, write_reference
from vgil_ros.training.config import TrainConfig
from vgil_ros.training.data.reference import make_reference
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.trainer import Trainer


@pytest.fixture
def checkpoint(tree: Tree, episodes: Path) -> Path:
    """The last checkpoint of a tiny training."""
    config = validate(TrainConfig, tree(episodes, checkpoint__every=4, data__validation=0.0), "test", TrainingError)
    Trainer(config, progress=False, log=lambda _: None).run()
    return config.out / "last"


def test_a_training_leaves_a_reference_of_its_episodes(checkpoint: Path, episodes: Path, tmp_path: Path) -> None:
    config, reference = read_config(checkpoint), read_reference(checkpoint / REFERENCE_FILE)
    assert reference.fingerprint == config.fingerprint
    assert (reference.episodes, reference.rows, reference.rate_hz) == (3, 27, config.rate_hz)
    assert set(reference.views) == set(config.camera_names)
    stats = scan_folder(episodes)
    for number, one in enumerate(stats):
        with EpisodeReader(one.path) as episode:
            np.testing.assert_array_equal(reference.start[number], episode.qpos[0].astype(np.float32))
            np.testing.assert_allclose(reference.plans[number, 0], episode.aligned_action()[0], atol=2e-3)
    made = make_reference(stats, config)
    np.testing.assert_array_equal(reference.qpos.std, made.qpos.std)
    for name, view in reference.views.items():
        assert view.usual.shape == made.views[name].usual.shape
        assert np.abs(view.usual.astype(int) - made.views[name].usual).mean() < 8, "JPEG changes little"
        np.testing.assert_array_equal(view.summaries, made.views[name].summaries)

    out = tmp_path / "compact"
    done = CliRunner().invoke(app, ["checkpoint", "compact", str(checkpoint), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert (out / REFERENCE_FILE).read_bytes() == (checkpoint / REFERENCE_FILE).read_bytes()


def test_what_is_no_reference_is_refused_with_what_it_is(checkpoint: Path, tmp_path: Path) -> None:
    content = (checkpoint / REFERENCE_FILE).read_bytes()
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match="does not exist"):
        read_reference(path)
    for broken in (content[:100], content[: len(content) // 2], b"<html>", b""):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=str(path)):
            read_reference(path)
    with pytest.raises(CheckpointError, match=r"is no reference; found format None, allowed: vgil_reference/1"):
        read_reference(checkpoint / "model.safetensors")
    again = encode_reference(read_reference(checkpoint / REFERENCE_FILE))
    assert read_reference(write_reference(again, path)).fingerprint == read_config(checkpoint).fingerprint


def preflight(*arguments: object) -> tuple[int, str]:
    """Run `vgil preflight`; its exit code and words."""
    done = CliRunner().invoke(app, ["preflight", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.exit_code, done.output


def test_the_command_judges_an_episode_and_ends_with_its_verdict(
    checkpoint: Path, episodes: Path, tmp_path: Path
) -> None:
    """The made-up episodes' robot is not what their contract says of cameras and joints: a no-go that names it."""
    file = sorted(episodes.glob("*.hdf5"))[0]
    report = tmp_path / "report.json"
    code, words = preflight("--checkpoint", checkpoint, "--robot", "sim_single", "--episode", file, "--json", report)
    assert code == 1, words
    told = json.loads(report.read_text())
    assert told["verdict"].startswith("NO-GO")
    assert not told["go"]
    assert {"cameras", "joints"} & {one["check"] for one in told["findings"] if one["verdict"] == "no"}, words
    assert preflight("--checkpoint", checkpoint, "--robot", "sim_single", "--live", "--episode", file)[0] == 2
    assert preflight("--checkpoint", checkpoint, "--robot", "no_such_robot")[0] == 2


def test_without_a_reference_it_says_so_and_data_make_one(tmp_path: Path, checkpoint: Path, episodes: Path) -> None:
    (checkpoint / REFERENCE_FILE).unlink()
    _, words = preflight("--checkpoint", checkpoint, "--robot", "sim_single")
    assert "no reference: images, poses, statistics and plans are not judged" in words
    _, words = preflight("--checkpoint", checkpoint, "--robot", "sim_single", "--data", episodes, "--keep-reference")
    assert "no reference" not in words
    assert read_reference(checkpoint / REFERENCE_FILE).fingerprint == read_config(checkpoint).fingerprint
