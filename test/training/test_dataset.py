"""A sample is what the reader says, whatever the layout; statistics are those of all rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from support.episodes import made_episodes
from support.paths import EPISODE_GOLDENS as GOLDEN

from vgil_ros.episodes import EpisodeWriter
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies.config import Normalization
from vgil_ros.policies.normalizer import Normalizer
from vgil_ros.training.data import scan as dataset_scan
from vgil_ros.training.data.dataset import EpisodeDataset, Loader, SampleSpec
from vgil_ros.training.data.episode_stats import Moments, make_normalizer, merge_all, read_episode_stats
from vgil_ros.training.data.image_cache import DecodedImages
from vgil_ros.training.data.scan import fingerprint, scan_folder

LAYOUTS = sorted(path.stem for path in GOLDEN.glob("*.hdf5"))
CHUNK = 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_are_the_readers_rows(layout: str) -> None:
    stats = read_episode_stats(GOLDEN / f"{layout}.hdf5")
    cameras = tuple(stats.cameras)
    data = EpisodeDataset([stats], SampleSpec(cameras, CHUNK, obs_offsets=(2, 1)))
    batch = data.batch(range(len(data)))
    past = batch["past"]
    with EpisodeReader(stats.path) as episode:
        action = episode.aligned_action()
        np.testing.assert_allclose(batch["qpos"], episode.qpos, rtol=1e-6)
        for t in range(episode.rows):
            held = np.minimum(np.arange(t, t + CHUNK), episode.rows - 1)
            np.testing.assert_allclose(batch["action"][t], action[held], rtol=1e-6)
            assert batch["is_pad"][t].tolist() == [t + i >= episode.rows for i in range(CHUNK)]
            assert past["known"][t].tolist() == [t >= 2, t >= 1]
            rows = [t - 2 if t >= 2 else t, t - 1 if t >= 1 else t]
            np.testing.assert_allclose(past["qpos"][t], episode.qpos[rows], rtol=1e-6)
            np.testing.assert_allclose(past["action"][t], action[rows], rtol=1e-6)
            for name in cameras:
                assert np.array_equal(batch["images"][name][t], episode.image(name, t))
                for n, row in enumerate(rows):
                    assert np.array_equal(past["images"][name][t, n], episode.image(name, row))
    assert batch["images"][cameras[0]].dtype == past["images"][cameras[0]].dtype == torch.uint8


def test_the_past_is_the_same_episodes_and_ends_at_a_gap(tmp_path: Path) -> None:
    """Whatever batch a row is in: never the row or batch before, but what was seen so many ticks ago."""
    for rows in (6, 5):
        writer = EpisodeWriter(tmp_path, made_episodes.meta(), min_free_bytes=0)
        for t in range(rows + 1):
            late = 3 if t >= 3 else 0  # three ticks are lost before row 3
            stamp = made_episodes.START_NS + (t + late) * made_episodes.PERIOD_NS + 1_000_000 * (t % 2)
            made_episodes.add(writer, t, last=t == rows, stamp_ns=stamp)
        writer.close()
    stats = scan_folder(tmp_path)
    data = EpisodeDataset(stats, SampleSpec(("cam_a",), CHUNK, obs_offsets=(2, 1)))
    known = {0: [0, 0], 1: [0, 1], 2: [1, 1], 3: [0, 0], 4: [0, 1], 5: [1, 1]}
    order = np.random.default_rng(0).permutation(len(data)).tolist()
    batch = data.batch(order)
    for place, index in enumerate(order):
        number, row = data.locate(index)
        assert batch["past"]["known"][place].tolist() == [bool(k) for k in known[row]]
        with EpisodeReader(stats[number].path) as episode:
            for n, ticks in enumerate((2, 1)):
                source = row - ticks if known[row][n] else row
                assert np.array_equal(batch["past"]["images"]["cam_a"][place, n], episode.image("cam_a", source))
                np.testing.assert_allclose(batch["past"]["qpos"][place, n], episode.qpos[source], rtol=1e-6)


def test_base_joins_the_action_with_its_shift() -> None:
    stats = read_episode_stats(GOLDEN / "mobile_aloha.hdf5")
    batch = EpisodeDataset([stats], SampleSpec(tuple(stats.cameras), 2, base=True)).batch([3])
    with EpisodeReader(stats.path) as episode:
        wanted = np.concatenate([episode.action, episode.base_action], axis=1)[2:4]  # read after the observation
    np.testing.assert_allclose(batch["action"][0], wanted, rtol=1e-6)


def test_chunks_do_not_run_into_the_next_episode(episodes: Path) -> None:
    stats = scan_folder(episodes)
    assert [one.rows for one in stats] == [7, 9, 11]
    data = EpisodeDataset(stats, SampleSpec(tuple(stats[0].cameras), 20))
    assert [data.locate(i) for i in (0, 6, 7, 15, 16, 26)] == [(0, 0), (0, 6), (1, 0), (1, 8), (2, 0), (2, 10)]
    batch = data.batch([5, 7])
    assert (~batch["is_pad"]).sum(1).tolist() == [2, 9]
    assert batch["task"] == ["test", "test"]


def test_a_jpeg_is_decoded_once(episodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stats = scan_folder(episodes)
    cameras = tuple(stats[0].cameras)
    plain = EpisodeDataset(stats, SampleSpec(cameras, CHUNK)).batch(range(27))
    size = 48 * 64 * 3
    data = EpisodeDataset(stats, SampleSpec(cameras, CHUNK), DecodedImages(stats, cameras, 30 * size))
    counted: list[tuple[Any, ...]] = []
    image = EpisodeReader.image

    def noted(self: EpisodeReader, *arguments: Any) -> Any:
        counted.append(arguments)
        return image(self, *arguments)

    monkeypatch.setattr(EpisodeReader, "image", noted)
    for expected in (2 * 27, 2 * 27 - 30):  # thirty have room
        counted.clear()
        batch = data.batch(range(27))
        assert len(counted) == expected
        for name in cameras:
            assert torch.equal(batch["images"][name], plain["images"][name])


def test_workers_share_what_is_decoded_and_give_the_same(episodes: Path) -> None:
    stats = scan_folder(episodes)
    cameras = tuple(stats[0].cameras)
    order = [[0, 8], [26, 3], [0, 26], [11, 12]]
    decoded = DecodedImages(stats, cameras, 1 << 20)
    data = EpisodeDataset(stats, SampleSpec(cameras, CHUNK), decoded)
    plain = EpisodeDataset(stats, SampleSpec(cameras, CHUNK))
    for indices, batch in zip(order, Loader(data, order, 2, torch.device("cpu")), strict=True):
        wanted = plain.batch(indices)
        assert torch.equal(batch["action"], wanted["action"])
        assert all(torch.equal(batch["images"][name], wanted["images"][name]) for name in cameras)
    out = np.empty((48, 64, 3), np.uint8)
    assert decoded.load((1, cameras[0]), 1, out)  # what a worker decoded is known here
    assert not decoded.load((1, cameras[0]), 2, out)


def test_statistics_are_those_of_all_rows(episodes: Path) -> None:
    stats = scan_folder(episodes)
    arrays = []
    for path in (one.path for one in stats):
        with EpisodeReader(path) as episode:
            arrays.append((episode.qpos, episode.aligned_action()))
    qpos, action = (np.concatenate(parts) for parts in zip(*arrays, strict=True))
    for mode in ("mean_std", "min_max"):
        spec = Normalization(qpos={"mode": mode}, action={"mode": mode})
        wanted = Normalizer.fit(spec, qpos, action, 1).state_dict()
        found = make_normalizer(spec, merge_all(f.qpos for f in stats), merge_all(f.action for f in stats), {}, ("a",))
        for key, value in found.state_dict().items():
            torch.testing.assert_close(value, wanted[key], rtol=1e-5, atol=1e-6)


def test_merged_moments_are_those_of_the_whole() -> None:
    rows = np.random.default_rng(0).normal(5.0, 3.0, (50, 3))
    parts = merge_all(Moments.of(part) for part in np.split(rows, [1, 7, 30]))
    np.testing.assert_allclose(parts.std, rows.std(0, ddof=1))
    np.testing.assert_allclose(parts.mean, rows.mean(0))
    assert parts.low == tuple(rows.min(0))


def test_facts_are_remembered_until_the_file_changes(episodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scan_folder(episodes)
    read: list[Path] = []

    def noted(path: Path) -> Any:
        read.append(path)
        return read_episode_stats(path)

    monkeypatch.setattr(dataset_scan, "read_episode_stats", noted)
    assert scan_folder(episodes) == first
    assert read == []
    changed = first[1].path
    data = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(data)
    assert scan_folder(episodes) == first
    assert read == [changed]


def test_fingerprint_is_the_datas(episodes: Path, tmp_path: Path) -> None:
    stats = scan_folder(episodes)
    cameras = tuple(stats[0].cameras)
    moved = episodes.rename(tmp_path / "moved")
    again = scan_folder(moved)
    assert fingerprint(stats, cameras, base=False) == fingerprint(again[::-1], cameras, base=False)
    assert fingerprint(stats, cameras, base=False) != fingerprint(stats[:2], cameras, base=False)
    assert fingerprint(stats, cameras, base=False) != fingerprint(stats, cameras[:1], base=False)


def test_stamps_that_are_fewer_than_the_rows_are_as_none(tmp_path: Path) -> None:
    path = made_episodes.write(tmp_path, made_episodes.meta(), 12)
    spec = SampleSpec(("cam_b", "cam_a"), 4, obs_offsets=(2, 1))
    wanted = EpisodeDataset(scan_folder(tmp_path), spec).batch(range(12))
    with h5py.File(path, "r+") as file:
        stamps = file["sync/stamp_ns"][...]
        del file["sync/stamp_ns"]
        file["sync/stamp_ns"] = stamps[:5]
    stats = scan_folder(tmp_path)
    found = EpisodeDataset(stats, spec).batch(range(12))
    for key in ("qpos", "action", "known"):
        assert torch.equal(found["past"][key], wanted["past"][key])
    assert torch.equal(found["is_pad"], wanted["is_pad"])
    assert stats[0].facts.holes == 0
