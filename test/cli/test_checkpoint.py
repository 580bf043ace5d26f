"""`vgil checkpoint`: what it says, what it writes, and its exit codes."""

from __future__ import annotations

import json
import shutil
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dm_env
import h5py
import numpy as np
import pytest

pytest.importorskip("torch")

from support import checkpoints, contracts
from support.policies import peers
from support.policies.peers_diffusion import act_plus_plus, write_act_plus_plus

from vgil_ros.cli.main import main
from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeWriter
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import load_policy
from vgil_ros.policies.inference.runtime import InferenceRuntime

ROWS = 40


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


Vgil = Callable[..., Said]


@pytest.fixture
def vgil(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Vgil:
    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["vgil", "checkpoint", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    two = [contracts.camera("cam_a"), contracts.camera("cam_b")]
    return contracts.write(contracts.small_robot(cameras=two), tmp_path_factory.mktemp("robot") / "small.yaml")


@pytest.fixture(scope="module")
def checkpoint(robot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.make(robot, tmp_path_factory.mktemp("checkpoint") / "good", chunk_size=1, spread=1.0)


def image(row: int, camera: int) -> np.ndarray:
    """One colour, another at every row, and some noise."""
    random = np.random.default_rng(10 * row + camera)
    colour = random.integers(0, 226, 3)
    return (colour + random.integers(0, 30, (48, 64, 3))).astype(np.uint8)


def episode(
    checkpoint: Path, folder: Path, names: tuple[str, str] = ("cam_a", "cam_b"), *, swapped: bool = False
) -> Path:
    """An episode whose actions are the checkpoint's own; then cameras' names, or red and blue, are exchanged."""
    policy = load_policy(checkpoint)
    predict = InferenceRuntime(policy)
    streams = ("left/puppet", *names)
    cameras = tuple(CameraMeta(name, 48, 64, "raw") for name in names)
    joints = policy.config.joint_names
    meta = EpisodeMeta(
        robot="small",
        contract="",
        rate_hz=25.0,
        streams=streams,
        joint_names=joints,
        cameras=cameras,
        has_velocity=False,
    )
    writer = EpisodeWriter(folder, meta, min_free_bytes=0)
    qpos = np.zeros(3, np.float32)
    for row in range(ROWS + 1):
        seen = [image(row, 0), image(row, 1)]
        action = predict({"qpos": qpos, "images": {"cam_a": seen[0], "cam_b": seen[1]}})[0]
        stored = [np.ascontiguousarray(p[..., ::-1]) if swapped else p for p in seen]
        observation = OrderedDict(qpos=qpos, images=OrderedDict(zip(names, stored, strict=True)))
        step = dm_env.restart(observation) if row == 0 else dm_env.transition(0.0, observation)
        last = row == ROWS
        writer.append(
            dm_env.termination(0.0, observation) if last else step,
            None if last else action,
            stamp_ns=10**18 + row * 40_000_000,
            skew_ns=np.zeros(3, np.int64),
            flags=np.zeros(3, np.uint8),
        )
    return writer.close(None)


def test_show_says_what_it_is(vgil: Vgil, checkpoint: Path, tmp_path: Path) -> None:
    said = vgil("show", checkpoint, "--json", tmp_path / "out.json")
    assert said.code == 0
    for part in (
        "type        act",
        "cam_a 48x64, cam_b 48x64",
        "left/waist",
        "in chunks of 1",
        "25 Hz",
        "M parameters",
    ):
        assert part in said.out, said.out
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["action_dim"] == 3
    assert report["parameters"] == sum(p.numel() for p in load_policy(checkpoint).parameters())
    assert report["bytes"] == (checkpoint / "model.safetensors").stat().st_size


@pytest.mark.parametrize("command", ["show", "check", "replay"])
def test_what_is_no_checkpoint_is_code_2(vgil: Vgil, robot: Path, tmp_path: Path, command: str) -> None:
    more = {"show": [], "check": ["--robot", robot], "replay": ["--episode", tmp_path / "e.hdf5"]}[command]
    said = vgil(command, tmp_path / "nothing", *more)
    assert said.code == 2
    assert "is not a checkpoint folder" in said.err
    assert "Traceback" not in said.err


def test_wrong_usage_is_code_2(vgil: Vgil, checkpoint: Path) -> None:
    assert vgil("check", checkpoint).code == 2
    assert vgil("frobnicate").code == 2
    said = vgil("check", checkpoint, "--robot", "nobody")
    assert said.code == 2
    assert "nobody" in said.err


def test_check_is_0_where_it_fits_and_1_with_every_mismatch_where_not(
    vgil: Vgil, robot: Path, checkpoint: Path, tmp_path: Path
) -> None:
    said = vgil("check", checkpoint, "--robot", robot, "--json", tmp_path / "out.json")
    assert said.code == 0, said
    assert "fits robot 'small'" in said.out
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["robot"], found["mismatches"]) == ("small", [])
    other = checkpoints.make(robot, tmp_path / "other", rate_hz=50.0, qpos_mean=90.0, joint_names=())
    said = vgil("check", other, "--robot", robot, "--json", tmp_path / "out.json")
    assert said.code == 1
    assert "mismatch: rate: the policy was trained at 50 Hz, robot small runs at 25 Hz" in said.out
    assert "mismatch: qpos of joint left/waist: trained around 90" in said.out
    assert "not checked, the checkpoint does not tell: joint names" in said.out
    assert len(json.loads((tmp_path / "out.json").read_text())["mismatches"]) >= 4


def test_compact_takes_half_the_bytes(vgil: Vgil, robot: Path, checkpoint: Path, tmp_path: Path) -> None:
    said = vgil("compact", checkpoint, "--out", tmp_path / "half")
    assert said.code == 0, said
    assert "MB in bf16" in said.out
    assert vgil("check", tmp_path / "half", "--robot", robot).code == 0
    said = vgil("compact", checkpoint, "--out", tmp_path / "no", "--dtype", "int8")
    assert said.code == 2
    assert "allowed: fp32, bf16, fp16" in said.err


def test_compact_takes_along_what_was_measured_of_the_training_data(
    vgil: Vgil, checkpoint: Path, tmp_path: Path
) -> None:
    measured = ("reference.safetensors", "familiar.safetensors")
    source = shutil.copytree(checkpoint, tmp_path / "whole")
    for name in measured:
        (source / name).write_bytes(name.encode())
    assert vgil("compact", source, "--out", tmp_path / "half").code == 0
    assert [(tmp_path / "half" / name).read_bytes() for name in measured] == [name.encode() for name in measured]


@pytest.mark.parametrize("command", ["compact", "import"])
def test_what_lies_in_a_folder_is_written_over_only_when_asked_and_the_rest_stays(
    vgil: Vgil, checkpoint: Path, tmp_path: Path, command: str
) -> None:
    own = ["--cameras", "cam_high,cam_left_wrist"] if command == "import" else []
    source = peers.write_original(tmp_path / "peer") if command == "import" else checkpoint
    out = tmp_path / "mine"
    call = [command, source, "--out", out, *own]
    assert vgil(*call).code == 0
    (out / "my_notes.md").write_text("mine")
    (out / "films").mkdir()
    (out / "films" / "a.mp4").write_bytes(b"film")
    before = (out / "model.safetensors").stat().st_mtime_ns
    said = vgil(*call)
    assert (said.code, "something lies there already" in said.err, "--replace" in said.err) == (2, True, True)
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    assert vgil(*call, "--replace").code == 0
    assert (out / "model.safetensors").stat().st_mtime_ns > before
    assert ((out / "my_notes.md").read_text(), (out / "films" / "a.mp4").read_bytes()) == ("mine", b"film")
    assert not list(tmp_path.glob(".mine*"))


def test_weights_are_not_rounded_where_they_lie(vgil: Vgil, checkpoint: Path) -> None:
    said = vgil("compact", checkpoint, "--out", checkpoint, "--replace")
    assert (said.code, "is where the checkpoint comes from" in said.err) == (2, True)


def test_what_a_robot_lends_an_import_is_assumed_and_stays_unchecked(vgil: Vgil, tmp_path: Path) -> None:
    source = peers.write_lerobot(tmp_path / "peer")
    call = ["import", source, "--robot", "sim_aloha", "--out"]
    said = vgil(*call, tmp_path / "a")
    assert said.code == 0, said.err
    assert "assumed     rate = 50 Hz (--rate-hz tells another), of robot sim_aloha" in said.out
    assert "assumed     joints = left/waist, " in said.out
    assert "unknown     rate (assumed on import, from a robot)" in vgil("show", tmp_path / "a").out
    told = vgil(*call, tmp_path / "b", "--rate-hz", 30)
    assert "rate = " not in told.out
    found = vgil("check", tmp_path / "b", "--robot", "sim_aloha")
    assert "mismatch: rate: the policy was trained at 30 Hz, robot sim_aloha runs at 50 Hz" in found.out
    assert "does not tell: joint names and their order (assumed on import, from a robot)" in found.out


def test_import_makes_a_checkpoint_that_show_reads(vgil: Vgil, tmp_path: Path) -> None:
    source = peers.write_original(tmp_path / "peer")
    out = tmp_path / "ours"
    said = vgil(
        "import", source, "--out", out, "--cameras", "cam_high, cam_left_wrist", "--json", tmp_path / "out.json"
    )
    assert said.code == 0, said
    assert "imported" in said.out
    assert json.loads((tmp_path / "out.json").read_text())["directory"] == str(out)
    assert "cam_high" in vgil("show", out).out


def test_import_is_told_what_diffusion_checkpoints_do_not_say(vgil: Vgil, tmp_path: Path) -> None:
    ckpt = write_act_plus_plus(tmp_path / "peer", act_plus_plus(), (5, 10))
    plain = ["import", ckpt, "--out", tmp_path / "ours", "--cameras", "cam_high,cam_low"]
    assert "horizon are not stored" in vgil(*plain).err
    said = vgil(*plain, "--horizon", 8)
    assert said.code == 0, said.err
    assert "assumed     weights: ema" in said.out
    (tmp_path / "config.yaml").write_text("policy: {}\n")
    said = vgil("import", ckpt, "--out", tmp_path / "other", "--config", tmp_path / "config.yaml")
    assert (said.code, "policy._target_ is missing" in said.err) == (2, True)


def test_import_refuses_in_words(vgil: Vgil, tmp_path: Path) -> None:
    source = peers.write_original(tmp_path / "peer")
    for arguments, reason in (
        ((source, "--out", tmp_path / "a"), "camera"),
        ((source, "--out", tmp_path / "a", "--cameras", "a,b", "--heads", "7"), "heads"),
        ((tmp_path / "none.ckpt", "--out", tmp_path / "a"), "none.ckpt"),
        ((source, "--out", tmp_path / "a", "--cameras", "a,b", "--stats", tmp_path / "none.pkl"), "none.pkl"),
    ):
        said = vgil("import", *arguments)
        assert said.code == 2, said
        assert reason in said.err, said.err
        assert "Traceback" not in said.err
        assert not (tmp_path / "a").exists()


def test_replay_of_its_own_actions_is_exact(vgil: Vgil, checkpoint: Path, tmp_path: Path) -> None:
    file = episode(checkpoint, tmp_path / "episodes")
    plot = tmp_path / "plot.png"
    said = vgil("replay", checkpoint, "--episode", file, "--every", 4, "--plot", plot, "--json", tmp_path / "out.json")
    assert said.code == 0, said
    assert "10 chunks" in said.out
    assert "latency p50" in said.out
    assert "looks wrong" not in said.out
    assert plot.stat().st_size > 1000
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["l1"] < 1e-4
    assert list(report["l1_per_joint"]) == ["left/waist", "left/elbow", "left/grip"]
    assert report["latency_ms"]["p99"] >= report["latency_ms"]["p50"] > 0
    assert (report["suspicion"], report["likely"]) == (None, [])


def test_replay_finds_swapped_colours_and_cameras(vgil: Vgil, checkpoint: Path, tmp_path: Path) -> None:
    colours = episode(checkpoint, tmp_path / "colours", swapped=True)
    said = vgil("replay", checkpoint, "--episode", colours, "--every", 4, "--json", tmp_path / "out.json")
    assert said.code == 1, said
    assert "looks wrong: wrong normalisation, colour or camera order?" in said.out
    assert "likely: red and blue swapped" in said.out
    assert json.loads((tmp_path / "out.json").read_text())["likely"][0] == "red and blue swapped"
    cameras = episode(checkpoint, tmp_path / "cameras", ("cam_b", "cam_a"))
    said = vgil("replay", checkpoint, "--episode", cameras, "--every", 4)
    assert said.code == 1, said
    assert "likely: cameras: cam_a <- cam_b, cam_b <- cam_a" in said.out


def test_replay_says_where_rate_and_joints_are_others(vgil: Vgil, checkpoint: Path, tmp_path: Path) -> None:
    file = episode(checkpoint, tmp_path / "episodes")
    with h5py.File(file, "r+") as opened:
        opened.attrs["rate_hz"] = 50.0
        opened.attrs["joint_names"] = ["left/elbow", "left/waist", "left/grip"]
    said = vgil("replay", checkpoint, "--episode", file, "--every", 20)
    assert "differs: the episode is of 50 Hz, the policy of 25 Hz" in said.out
    assert "differs: the episode's joints are in another order than the policy's; expected: left/waist" in said.out


def test_replay_pairs_the_bases_action_as_training_does(tmp_path: Path) -> None:
    """Mobile ALOHA's row k holds the action that belongs to the observation after it."""
    from vgil_ros.cli.checkpoint.replay import _actions
    from vgil_ros.policies import PolicyConfig
    from vgil_ros.training.data.episode_stats import aligned_actions

    path = tmp_path / "episode_0.hdf5"
    with h5py.File(path, "w") as file:
        file["observations/qpos"] = np.zeros((20, 14), np.float32)
        file["action"] = np.arange(20, dtype=np.float32)[:, None].repeat(14, 1)
        file["base_action"] = np.arange(20, dtype=np.float32)[:, None].repeat(2, 1)
        file["observations/images/cam_high"] = np.ones((20, 10), np.uint8)
    config = PolicyConfig(type="act", state_dim=14, action_dim=16, chunk_size=1, cameras=({"name": "cam_high"},))
    with EpisodeReader(path) as opened:
        assert opened.action_alignment == "after_observation"
        replayed = _actions(config, opened, path)
        np.testing.assert_array_equal(replayed, aligned_actions(opened, base=True))
    assert replayed[10].tolist() == [9.0] * 16


def test_replay_refuses_an_episode_of_another_shape(vgil: Vgil, robot: Path, checkpoint: Path, tmp_path: Path) -> None:
    file = episode(checkpoint, tmp_path / "episodes")
    wide = checkpoints.make(robot, tmp_path / "wide", action_dim=5, joint_names=(), state_dim=3)
    said = vgil("replay", wide, "--episode", file)
    assert said.code == 2
    assert "3 action dims; the policy needs 5" in said.err
    blind = checkpoints.make(robot, tmp_path / "blind", cameras=[{"name": "cam_z", "height": 48, "width": 64}])
    said = vgil("replay", blind, "--episode", file)
    assert said.code == 2
    assert "cam_z" in said.err
    assert vgil("replay", checkpoint, "--episode", tmp_path / "none.hdf5").code == 2
