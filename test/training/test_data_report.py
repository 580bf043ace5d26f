"""What is said of a data set before the first step, what is left out of it, and what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.episodes import made_episodes as demo
from support.training import Tree

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes.checks.timing.gaps import regular_period
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.training.build import TrainingData, load_data
from vgil_ros.training.config import parse_config
from vgil_ros.training.data import episode_facts, image_cache, scan
from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
from vgil_ros.training.data.episode_facts import (
    BYTES_AT_ONCE,
    LATE,
    chunk_ends,
    holes_of,
    idle_rows,
    rows_at_once,
)
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.errors import TrainingError

PERIOD = 20_000_000


def _loaded(tree: dict) -> tuple[TrainingData, str]:
    said: list[str] = []
    return load_data(parse_config(tree, "test"), said.append), "\n".join(said)


def _attribute(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value


def test_the_summary_counts_episodes_rows_outcomes_and_ranges(tree: Tree, episodes: Path) -> None:
    _attribute(episodes / "episode_0.hdf5", "success", True)
    _attribute(episodes / "episode_1.hdf5", "success", False)
    _, said = _loaded(tree(episodes))
    assert "data: 3 episodes (1 for validation), 27 rows, 0.5 s at 50 Hz; 1 failed, 1 not said, 1 succeeded" in said
    assert "tasks: test (3); idle 0%; gaps 0; duplicates 0" in said
    assert "  arm/joint2  qpos    0.141 to    0.909, action   0.0915 to    0.887" in said
    assert "warning" not in said


def test_aborted_episodes_are_left_out_unless_asked_for(tree: Tree, episodes: Path) -> None:
    _attribute(episodes / "episode_1.hdf5", "aborted", "cam_a: nothing received")
    data, said = _loaded(tree(episodes))
    assert [one.path.name for one in data.stats] == ["episode_0.hdf5", "episode_2.hdf5"]
    assert "1 of 3 episodes were aborted while recording and are left out" in said
    assert "left out: 1 aborted" in said
    assert "cam_a: nothing received" in said
    assert len(_loaded(tree(episodes, data__aborted=True))[0].stats) == 3


def test_only_successes_takes_no_other(tree: Tree, episodes: Path) -> None:
    _attribute(episodes / "episode_2.hdf5", "success", True)
    _attribute(episodes / "episode_1.hdf5", "success", False)
    data, said = _loaded(tree(episodes, data__only_successes=True))
    assert [one.path.name for one in data.stats] == ["episode_2.hdf5"]
    assert "left out: 2 that are no success" in said
    assert "none of 1 episodes can be kept for validation" in said
    _attribute(episodes / "episode_2.hdf5", "success", False)
    with pytest.raises(TrainingError, match=r"none of 3 episodes is left.*data\.only_successes=false"):
        _loaded(tree(episodes, data__only_successes=True))
    assert "none of the 2 episodes that say so was a success" in _loaded(tree(episodes))[1]


@pytest.mark.parametrize("what", ["action", "observations/qpos"])
def test_an_episode_in_degrees_is_refused_by_joint_or_left_out(tree: Tree, episodes: Path, what: str) -> None:
    with h5py.File(episodes / "episode_1.hdf5", "r+") as file:
        file[what][...] = np.degrees(file[what][...])
    name = what.rpartition("/")[2]
    with pytest.raises(TrainingError, match=rf"1 of 3 .*cannot be right: .*episode_1.hdf5: {name} of arm/joint0 is"):
        _loaded(tree(episodes))
    data, said = _loaded(tree(episodes, data__skip_bad=True))
    assert len(data.stats) == 2
    assert "skipped" in said
    assert "left out: 1 odd" in said
    assert len(_loaded(tree(episodes, data__accept_odd=True))[0].stats) == 3


def _of_robot(folder: Path, rows: int = 30) -> Path:
    """An episode that stores the contract of `sim_single` and stays within it."""
    contract, text = load_contract("sim_single")
    layout = Layout(contract)
    path = demo.write(folder, demo.meta(dim=7, contract=text, joint_names=layout.joint_names), rows)
    phase = int(path.stem.rpartition("_")[2])
    moves = (
        0.1 * np.sin(0.2 * np.arange(rows) + phase)[:, None] + 0.5 * layout.home + 0.25 * (layout.lower + layout.upper)
    )
    with h5py.File(path, "r+") as file:
        file["observations/qpos"][...] = moves
        file["action"][...] = moves + 0.002
    return path


def test_one_wrong_number_of_an_action_is_held_against_the_stored_contract(tree: Tree, tmp_path: Path) -> None:
    for _ in range(2):
        path = _of_robot(tmp_path / "data")
    assert "warning" not in _loaded(tree(tmp_path / "data"))[1]
    with h5py.File(path, "r+") as file:
        file["action"][20, 1] = 1000.0
    with pytest.raises(TrainingError, match=r"arm/shoulder: action is 1000 rad; allowed: .* \(rows 20\)"):
        _loaded(tree(tmp_path / "data"))
    with h5py.File(path, "r+") as file:
        file["action"][20, 1] = file["action"][19, 1] + 0.2  # 10 rad/s; the limit is 3.14
    _, said = _loaded(tree(tmp_path / "data"))
    assert "warning: " in said
    assert "arm/shoulder: action moves by 0.2 rad in a row, 10 rad/s; allowed: 3.14 rad/s" in said


def test_actions_that_are_the_measured_positions_are_spoken_of(tree: Tree, tmp_path: Path) -> None:
    episodes = tmp_path / "data"
    for _ in range(3):
        demo.write(episodes, demo.meta(), 20)
    assert "actions equal" not in _loaded(tree(episodes))[1]
    for path in episodes.glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            file["action"][...] = file["observations/qpos"][...]
    assert "actions equal the measured positions in 3 of 3 episodes" in _loaded(tree(episodes))[1]
    with h5py.File(path, "r+") as file:  # one row of twenty is the noise of an encoder
        file["action"][7] += 0.1
        file["action"][8] += 0.1
    assert "actions equal the measured positions in 2 of 3 episodes" in _loaded(tree(episodes))[1]


@pytest.mark.parametrize("which", ["puppet_range", "master_range"])
def test_a_gripper_range_that_changed_is_refused(tree: Tree, tmp_path: Path, which: str) -> None:
    """The same number would be another opening of the hand."""
    folder = tmp_path / "data"
    for _ in range(3):
        path = _of_robot(folder)
    assert len(_loaded(tree(folder))[0].stats) == 3
    with h5py.File(path, "r+") as file:
        tree_of_contract = yaml.safe_load(file.attrs["contract"])
        tree_of_contract["arms"][0]["gripper"][which] = [0.03, 0.05]
        file.attrs["contract"] = yaml.safe_dump(tree_of_contract)
    words = rf"gripper of arm is not the same .*episode_0\.hdf5 has .*episode_2\.hdf5 has .*{which} \[0\.03, 0\.05\]"
    with pytest.raises(TrainingError, match=words):
        _loaded(tree(folder))


def test_several_tasks_under_a_policy_that_is_told_none(tree: Tree, episodes: Path) -> None:
    _attribute(episodes / "episode_2.hdf5", "task", "stack the cups")
    assert "2 tasks (test (2), stack the cups (1)), and a policy of type act" in _loaded(tree(episodes))[1]


def test_an_episode_under_two_names_is_not_validated_on(tree: Tree, episodes: Path) -> None:
    for number in range(3, 9):
        shutil.copy(episodes / "episode_0.hdf5", episodes / f"episode_{number}.hdf5")
    data, said = _loaded(tree(episodes, data__validation=0.5))
    assert "duplicates 6" in said
    trained = {one.digest for one in data.train.episodes}
    assert not trained & {one.digest for one in data.validation.episodes}


@pytest.mark.parametrize(
    ("attribute", "values", "words"),
    [
        (
            "rate_hz",
            [None, 50.0, 30.0],
            r"rate_hz is not the same in all episodes: .*episode_1\.hdf5 has 50, .*episode_2\.hdf5 has 30",
        ),
        (
            "joint_names",
            [None, ["a", "b", "c"], ["b", "a", "c"]],
            r"joints is not the same in all episodes: .*episode_1\.hdf5 has a, b, c",
        ),
    ],
)
def test_an_episode_that_does_not_say_does_not_end_the_comparison(
    tree: Tree, episodes: Path, attribute: str, values: list, words: str
) -> None:
    for path, value in zip(sorted(episodes.glob("*.hdf5")), values, strict=True):
        with h5py.File(path, "r+") as file:
            del file.attrs[attribute]
            if value is not None:
                file.attrs[attribute] = value
    with pytest.raises(TrainingError, match=words):
        _loaded(tree(episodes))


@pytest.mark.parametrize(
    ("crop", "resize", "words"),
    [
        (
            [24, 24],
            None,
            r"the policy sees 19% of an image of cam_b: policy\.crop is 24 x 24 of 48 x 64; policy\.resize",
        ),
        ([40, 48], None, "warning: the policy sees 62% of an image of cam_b"),
        ([44, 58], None, None),
        ([22, 29], [24, 32], None),
        ([44, 58], [48, 64], None),
    ],
)
def test_a_crop_that_leaves_little_of_an_image_is_spoken_of(
    tree: Tree, episodes: Path, crop: list[int], resize: list[int] | None, words: str | None
) -> None:
    policy = {"type": "diffusion", "horizon": 8, "down_dims": [8, 16], "n_groups": 4, "crop": crop, "resize": resize}
    wanted = tree(episodes, policy=policy)
    if words is not None and not words.startswith("warning"):
        with pytest.raises(TrainingError, match=words):
            _loaded(wanted)
        return
    data, said = _loaded(wanted)
    assert ("the policy sees" in said) == (words is not None)
    assert words is None or words in said
    idle = resize == [48, 64]  # the size that images have: nothing is to be done
    assert data.policy.resize == (None if idle or resize is None else tuple(resize))  # type: ignore[attr-defined]


def test_a_chunk_ends_where_rows_are_missing(tmp_path: Path) -> None:
    path = demo.write(tmp_path, demo.meta(), 20)
    with h5py.File(path, "r+") as file:
        stamps = file["sync/stamp_ns"][...]
        stamps[12:] += 2_000_000_000
        file["sync/stamp_ns"][...] = stamps
        actions = file["action"][...]
    data = EpisodeDataset(scan_folder(tmp_path), SampleSpec(("cam_b", "cam_a"), 6))
    batch = data.batch([9, 12, 3])
    assert batch["is_pad"].tolist() == [[False] * 3 + [True] * 3, [False] * 6, [False] * 6]
    np.testing.assert_array_equal(batch["action"][0].numpy(), actions[[9, 10, 11, 11, 11, 11]])
    assert data.episodes[0].facts.holes == 1
    assert data.episodes[0].facts.lost_s == pytest.approx(2.0)


def test_ends_of_chunks_by_stamps_of_every_kind() -> None:
    def ends(steps: list[float]) -> list[int]:
        stamps = np.concatenate([[0], np.cumsum(np.array(steps) * PERIOD)]).astype(np.int64)
        return chunk_ends(stamps, PERIOD, len(stamps)).tolist()

    assert ends([1, 1, 1, 1]) == [5] * 5
    assert ends([1.66] * 4) == [5] * 5, "a camera's own ticks are no holes"
    assert ends([1, 2, 1, 1]) == [5] * 5, "one row that is missing moves an action by one tick"
    assert ends([1, 2, 2, 1, 1, 1]) == [3, 3, 7, 7, 7, 7, 7], "two do not"
    assert ends([1, 4, 1, 1]) == [2, 2, 5, 5, 5]
    assert ends([1, -9, 1, 1]) == [2, 2, 5, 5, 5], "a clock that was set back"
    assert chunk_ends(None, PERIOD, 3).tolist() == [3, 3, 3]
    assert chunk_ends(np.arange(3), None, 3).tolist() == [3, 3, 3]
    assert holes_of(np.array([0, 1, 5, 6]) * PERIOD, PERIOD) == (1, pytest.approx(0.06))
    assert holes_of(np.array([0, 1, 3, 4]) * PERIOD, PERIOD) == (1, pytest.approx(0.02)), "one row, as the check says"


def test_idle_rows_are_those_in_which_neither_arm_nor_leader_moves() -> None:
    noise = np.random.default_rng(0).normal(0, 2e-4, (60, 3))
    still = np.zeros((60, 3)) + noise
    moving = np.cumsum(np.full((60, 3), 0.01), axis=0)
    assert idle_rows(still, still).all()
    assert not idle_rows(moving, still).any()
    assert not idle_rows(still, moving).any()
    half = np.concatenate([still[:30], moving[:30]])
    assert idle_rows(half, half).sum() in (30, 31)


@given(
    st.lists(st.sampled_from([1.0, 1.0, 1.0, 0.0, 0.5, 1.4, 1.6, 2.0, 3.0, -4.0]), max_size=70),
    st.integers(-3, 3),
    st.sampled_from([PERIOD, PERIOD // 2, 3 * PERIOD]),
)
def test_ends_of_chunks_are_those_that_a_look_at_every_later_row_finds(
    steps: list[float], nudge: int, period: int
) -> None:
    stamps = np.concatenate([[0], np.cumsum(np.array(steps) * PERIOD)]).astype(np.int64)
    stamps[1:] += nudge
    rows = len(stamps)
    usual = regular_period(stamps, period)
    late = stamps.astype(np.float64) - stamps[0] - np.arange(rows) * usual
    slow = [next((k for k in range(row, rows) if abs(late[k] - late[row]) > LATE * usual), rows) for row in range(rows)]
    assert chunk_ends(stamps, period, rows).tolist() == slow


def test_ends_of_chunks_are_found_once_for_each_episode(episodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(episodes.glob("*.hdf5"))
    asked: list[int] = []

    def noted(stamps: np.ndarray | None, period_ns: int | None, rows: int) -> np.ndarray:
        asked.append(rows)
        return chunk_ends(stamps, period_ns, rows)

    monkeypatch.setattr(image_cache, "chunk_ends", noted)
    files = image_cache.EpisodeFileCache(paths, base=False)
    files._limit = 1  # so that each is closed before the next one is opened
    for number in (0, 1, 2, 0, 1, 2):
        assert len(files.get(number).ends) == (7, 9, 11)[number]
    files.close()
    assert asked == [7, 9, 11]


def test_an_episode_that_may_lack_its_end_is_spoken_of(tree: Tree, episodes: Path) -> None:
    _attribute(episodes / "episode_1.hdf5", "repaired", "9 of 30 rows from episode_1.hdf5.part")
    _attribute(episodes / "episode_2.hdf5", "stopped", "no space left")
    data, said = _loaded(tree(episodes))
    assert len(data.stats) == 3
    assert "warning: 2 of 3 episodes may lack their end" in said
    assert "episode_1.hdf5 (repaired: 9 of 30 rows" in said


def test_aborted_episodes_that_lie_apart_are_taken_where_they_are_asked_for(tree: Tree, episodes: Path) -> None:
    apart = episodes / "aborted"
    apart.mkdir()
    lost = (episodes / "episode_1.hdf5").rename(apart / "episode_0.hdf5.aborted")
    _attribute(lost, "aborted", "cam_a: nothing received")
    data, said = _loaded(tree(episodes))
    assert [one.path.name for one in data.stats] == ["episode_0.hdf5", "episode_2.hdf5"]
    assert f"1 aborted episodes in {apart} are left out; data.aborted=true takes them too" in said
    for _ in range(2):  # read, then remembered
        data, said = _loaded(tree(episodes, data__aborted=True))
        assert [(one.path, one.rows) for one in data.stats][-1] == (lost, 9)
        assert len(data.stats) == 3
        assert "left out" not in said
    for path in episodes.glob("*.hdf5"):
        path.unlink()
    with pytest.raises(TrainingError, match=r"no episode.*; 1 aborted ones in .*: data\.aborted=true takes them"):
        _loaded(tree(episodes))
    with pytest.raises(TrainingError, match=r"taken by --data .*/episodes with data\.aborted=true"):
        _loaded(tree(apart))
    assert len(_loaded(tree(episodes, data__aborted=True))[0].stats) == 1


@pytest.mark.parametrize(
    ("shape", "chunk", "expected"),
    [((100, 1000), 500, 64), ((100, 8 << 20), 1 << 20, 2), ((100, 64 << 20), 1 << 20, 1), ((9, 1), 1, 64)],
)
def test_jpegs_that_are_read_together_are_bounded_by_their_bytes(
    tmp_path: Path, shape: tuple[int, int], chunk: int, expected: int
) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        stored = file.create_dataset("a", shape, np.uint8, chunks=(1, chunk))
        assert rows_at_once(stored) == expected
        assert expected == 1 or expected * shape[1] <= BYTES_AT_ONCE
        assert rows_at_once(file.create_dataset("b", (100,), h5py.vlen_dtype(np.uint8))) == 1
        assert rows_at_once(file.create_dataset("c", (100,), f"S{4 << 20}", chunks=(1,))) == 4


def test_of_our_own_jpegs_little_more_than_the_ends_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = demo.write(tmp_path, demo.meta(), 20)
    looked: list[object] = []
    whole = episode_facts._whole

    def noted(data: object) -> bool:
        looked.append(data)
        return whole(data)

    monkeypatch.setattr(episode_facts, "_whole", noted)
    with EpisodeReader(path) as episode:
        assert episode_facts.broken_jpegs(episode, "cam_a") == ()
    assert looked == [], "the ends lie where compress_len says"
    with h5py.File(path, "r+") as file:
        lengths = file["compress_len"][...].astype(int)
        for row in (3, 4):
            file["observations/images/cam_a"][row, lengths[1, row] - 2 :] = 0
        file["compress_len"][1, 8] = 5  # wrong, and the image is whole
        file["observations/images/cam_a"][15, 0] = 0
    with EpisodeReader(path) as episode:
        assert episode_facts.broken_jpegs(episode, "cam_a") == ((3, 4), (15, 15))
        assert episode_facts.broken_jpegs(episode, "cam_b") == ()
    assert len(looked) == 4


def test_many_episodes_are_read_by_several_processes_and_give_the_same(
    episodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (episodes / "episode_1.hdf5").write_bytes(b"nothing")
    serial = scan_folder(episodes, skip_bad=True)
    monkeypatch.setattr(scan, "A_FEW", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    said: list[str] = []
    seen: list[Path] = []

    def counted(paths: Iterable[Path]) -> Iterator[Path]:
        for path in paths:
            seen.append(path)
            yield path

    again = scan_folder(episodes, skip_bad=True, log=said.append, progress=counted)
    assert again == serial
    assert [path.name for path in seen] == [f"episode_{n}.hdf5" for n in range(3)]
    assert any("episode_1.hdf5: not an HDF5 file" in text for text in said)
