"""Flow in training: the same as on a robot for the same rows, kept on disk, moved with the images."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.episodes import made_episodes
from support.paths import EPISODE_GOLDENS

from vgil_ros.core.history import History, with_past
from vgil_ros.episodes import EpisodeWriter
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import PolicyError
from vgil_ros.policies.flow_act import FlowActPolicy
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.optical_flow import FlowField, FlowSettings
from vgil_ros.training.build import load_data, make_policy
from vgil_ros.training.config import AugmentationConfig, load_config, parse_config
from vgil_ros.training.data.augmentation import Augmentation
from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
from vgil_ros.training.data.flow_cache import FlowCache, flow_dir, make_flow_cache
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.trainer import Trainer

CAMERAS = ("cam_b", "cam_a")
PERIOD = made_episodes.PERIOD_NS
FLOW = {"type": "flow_act", "flow_gap_ticks": 2, "flow_channels": [4, 4, 4], "cvae_layers": 0}


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """Two episodes whose ticks jitter and of which some are lost."""
    folder = tmp_path / "gaps"
    random = np.random.default_rng(0)
    for lost in ((), (3, 4, 5)):
        writer = EpisodeWriter(folder, made_episodes.meta(), min_free_bytes=0)
        ticks = [t for t in range(13) if t not in lost]
        for t in ticks:
            stamp = made_episodes.START_NS + t * PERIOD + int(random.integers(-PERIOD // 5, PERIOD // 5))
            made_episodes.add(writer, t, last=t == ticks[-1], stamp_ns=stamp)
        writer.close()
    return folder


def test_run_time_flow_is_training_time_flow(gaps: Path, tree: Callable[..., dict]) -> None:
    """A robot that sees the recorded rows, by their stamps, computes the very flow that training was shown, whether
    from the images or from the cache, and gives the same chunk."""
    config = parse_config(tree(gaps, **{f"policy__{key}": value for key, value in FLOW.items()}), "test")
    data = load_data(config, print)
    policy = make_policy(config, data, print).eval()
    assert isinstance(policy, FlowActPolicy)
    runtime = InferenceRuntime(policy)
    stats = scan_folder(gaps)
    spec = SampleSpec(CAMERAS, 4, obs_offsets=policy.config.obs_offsets)
    field = FlowField(policy.config.optical_flow)
    cache = make_flow_cache(stats, CAMERAS, spec.obs_offsets, field, limit=1 << 30)
    sets = [EpisodeDataset(stats, spec), EpisodeDataset(stats, spec, None, cache)]
    unknown = []
    for number, one in enumerate(stats):
        history: History[dict] = History(policy.config.obs_offsets, PERIOD)  # an episode begins: nothing is known
        with EpisodeReader(one.path) as episode:
            assert episode.stamp_ns is not None
            for row, stamp in enumerate(episode.stamp_ns):
                images = {name: episode.image(name, row) for name in CAMERAS}
                seen: dict[str, Any] = {"qpos": np.asarray(episode.qpos[row], np.float32), "images": images}
                history.push(int(stamp), seen)
                observation = with_past(seen, history.past(int(stamp)))
                chunk = runtime(observation)
                batched = {"qpos": seen["qpos"][None], "images": {n: i[None] for n, i in images.items()}}
                past = observation["past"]
                batched["past"] = {
                    "qpos": past["qpos"][None],
                    "images": {n: i[None] for n, i in past["images"].items()},
                    "known": past["known"][None],
                }
                frames = [torch.from_numpy(images[name])[None] for name in CAMERAS]
                flows = policy.flows(batched, frames)
                unknown.append(not past["known"][0])
                assert all(bool(flow.any()) == past["known"][0] for flow in flows)
                for dataset in sets:
                    sample = dataset[int(dataset.rows_of(number)[row])]
                    for flow, trained in zip(flows, policy.flows(sample, frames), strict=True):
                        assert torch.equal(flow, trained)
                    with torch.no_grad():
                        np.testing.assert_allclose(policy.predict_chunk(sample)[0].numpy(), chunk, atol=1e-5)
    # the first two rows of each; and rows 3 and 4 after the gap of three ticks
    assert [i for i, one in enumerate(unknown) if one] == [0, 1, 12, 13, 15, 16]


def test_flow_is_computed_once_and_anew_where_something_changed(gaps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stats = scan_folder(gaps)
    calls: list[int] = []
    forward = FlowField.forward

    def noted(self: FlowField, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        calls.append(len(a))
        return forward(self, a, b)

    monkeypatch.setattr(FlowField, "forward", noted)

    def pairs(obs_offsets: tuple[int, ...] = (1,), cameras: tuple[str, ...] = CAMERAS, **settings: float) -> int:
        calls.clear()
        field = FlowField(FlowSettings.model_validate(settings))
        assert make_flow_cache(scan_folder(gaps), cameras, obs_offsets, field, limit=1 << 30) is not None
        return sum(calls)

    assert pairs() == 2 * (11 + 7)
    assert pairs() == 0
    assert pairs(cameras=("cam_a",)) == 0
    assert pairs((2,)) == 2 * (10 + 5)
    assert pairs(max_flow=10.0) == 2 * (11 + 7)
    changed = stats[0].path
    data = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(data)
    assert pairs() == 2 * 11
    assert not list(flow_dir().glob("*.part"))


def test_many_files_of_flow_are_not_all_kept_open(tmp_path: Path) -> None:
    files = {}
    for number in range(150):
        files[Path(str(number)), "cam_a"] = path = tmp_path / f"{number}.npy"
        np.save(path, np.full((2, 1, 3, 4, 2), number, np.float16))
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, usual[1]))
    try:
        cache = FlowCache(files, (1,))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    before, seen = len(os.listdir("/proc/self/fd")), np.empty((1, 3, 4, 2), np.float16)
    for _ in range(2):
        for number in range(150):
            cache.read(Path(str(number)), "cam_a", 1, seen)
            assert (seen == number).all()
    assert len(os.listdir("/proc/self/fd")) - before <= 64


def test_without_room_nothing_is_kept_and_it_is_said(gaps: Path) -> None:
    said: list[str] = []
    field = FlowField(FlowSettings())
    assert make_flow_cache(scan_folder(gaps), CAMERAS, (1,), field, limit=1000, log=said.append) is None
    assert "computed in every step" in said[0]
    assert not flow_dir().exists() or not list(flow_dir().iterdir())


@pytest.mark.parametrize("crop", [1.0, 0.9])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_kept_flow_is_augmented_as_its_images_are(crop: float, side: float) -> None:
    """Flow of changed images, and changed flow of images as they were: the same up to the search's own error."""
    config = AugmentationConfig(crop=crop, rotation_deg=20, brightness=0.2, contrast=0.2, saturation=0.2)
    augment = Augmentation(config, 0)
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (1, 3, 24, 32))).float()
    big = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 255)
    scene = big[0].permute(1, 2, 0).to(torch.uint8)  # 192x256
    now, before = scene[None, 10:170, 10:234], scene[None, 6:166, 15:239]
    field = FlowField(FlowSettings())
    draws = torch.tensor([[0.5 * side, -0.7, side, 0.5, -0.5, 0.2]])
    kept = augment.change_flow(field(before, now).permute(0, 2, 3, 1).half(), draws)[0].float()
    fresh = field(augment.change(before, draws), augment.change(now, draws))[0].permute(1, 2, 0)
    middle = (slice(8, -8), slice(10, -10))
    assert kept.shape == fresh.shape
    assert (fresh[middle] - torch.tensor([5.0, -4.0])).abs().median() > 0.5, "the vectors have turned"
    assert (kept[middle] - fresh[middle]).abs().median() < 0.12
    still = AugmentationConfig(crop=1, rotation_deg=0)
    assert torch.equal(Augmentation(still, 0).change_flow(kept[None], draws)[0], kept)


@pytest.mark.parametrize("room", [1.0, 0.0])
def test_it_trains_with_the_one_trainer(episodes: Path, tree: Callable[..., dict], room: float) -> None:
    values = {f"policy__{key}": value for key, value in FLOW.items()}
    result = Trainer(
        parse_config(tree(episodes, steps=2, data__flow_cache_gib=room, **values), "test"), progress=False
    ).run()
    assert result.loss is not None
    assert np.isfinite(result.loss)
    assert (flow_dir().is_dir() and bool(list(flow_dir().iterdir()))) == (room > 0)
    assert (result.out / "last" / "policy.json").is_file()


def test_raft_without_weights_says_where_they_belong(
    episodes: Path, tree: Callable[..., dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = parse_config(tree(episodes, policy__type="flow_act", policy__flow_method="raft_small"), "test")
    with pytest.raises(PolicyError, match=r"RAFT-small: no file .*raft_small.*\.pth; .*take flow_method dis"):
        load_data(config, print)


@pytest.mark.parametrize("name", ["flow_act", "flow_act_small"])
def test_the_configurations_are_valid(name: str, episodes: Path, tmp_path: Path) -> None:
    values = {"data.folders": [str(episodes)], "out": str(tmp_path / "run")}
    data = load_data(load_config(name, ["data.flow_cache_gib=0", "data.decoded_gib=0"], values), print)
    assert data.policy.type == "flow_act"
    assert data.policy.obs_offsets == (5,), "0.1 s at 50 Hz"


def test_an_unknown_rate_asks_for_ticks(tree: Callable[..., dict]) -> None:
    aloha = EPISODE_GOLDENS / "aloha.hdf5"  # a layout that does not store it
    config = parse_config(tree(aloha, policy__type="flow_act", data__validation=0.0), "test")
    with pytest.raises(TrainingError, match="give flow_gap_ticks"):
        load_data(config, print)
