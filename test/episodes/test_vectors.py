"""Further vectors in a file: written, read, checked, converted, repaired, and named where they are no such thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as made

from vgil_ros.episodes import EpisodeWriter
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.convert import convert, left_out
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.meta import VectorMeta
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.recovery.repair import repair
from vgil_ros.episodes.summary import describe

VECTORS = (VectorMeta("wrench", 6), VectorMeta("tcp", 7))


def felt(t: int) -> dict[str, np.ndarray]:
    return {v.name: np.arange(v.size) + 0.1 * t + 1e-12 for v in VECTORS}


def write(folder: Path, rows: int = 20, values: Any = felt, close: bool = True) -> Path:
    meta = made.meta(vectors=VECTORS, streams=(*made.STREAMS, "wrench", "tcp"))
    writer = EpisodeWriter(folder, meta, min_free_bytes=0)
    for t in range(rows + 1):
        observation = made.observation(t, meta)
        observation["vectors"] = values(t)
        made.add(writer, t, last=t == rows, seen=observation)
    return writer.close() if close else writer.part


def test_what_is_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    with EpisodeReader(write(tmp_path)) as episode:
        assert episode.vector_names == ("wrench", "tcp")
        assert episode.vector("tcp").dtype == np.float64
        assert (episode.vector("tcp") == np.stack([felt(t)["tcp"] for t in range(20)])).all()
        steps = episode.timesteps()
        assert len(steps) == 21
        for t in (0, 7, 20):
            assert (steps[t].observation["vectors"]["wrench"] == felt(t)["wrench"]).all()
        assert describe(episode)["vectors"]["wrench"][2] == pytest.approx([2.0, 3.9])
        with pytest.raises(EpisodeError, match=r"no vector 'force'; allowed: \['wrench', 'tcp'\]"):
            episode.vector("force")


def test_a_row_without_one_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match=r"vectors are \['wrench'\]; this episode has \['tcp', 'wrench'\]"):
        write(tmp_path, values=lambda t: {"wrench": felt(t)["wrench"]})
    with pytest.raises(EpisodeError, match=r"tcp has shape \(6,\); allowed: \(7,\)"):
        write(tmp_path, values=lambda t: {**felt(t), "tcp": np.zeros(6)})


def test_the_check_looks_at_them(tmp_path: Path) -> None:
    path = write(tmp_path)
    with h5py.File(path, "r+") as file:
        file["observations/wrench"][3:5, 2] = np.nan
        file["observations/tcp"][...] = 1.0
    found = [str(finding) for finding in check_episode(path).findings]
    assert any("wrench" in words and "holds NaN or infinity in column 2" in words for words in found)
    assert any("tcp" in words and "never changes" in words for words in found)


def test_ours_holds_them_and_a_peers_layout_says_that_it_does_not(tmp_path: Path) -> None:
    with EpisodeReader(write(tmp_path / "a")) as episode:
        copy = convert(episode, tmp_path / "copy.hdf5", "vgil")
        assert left_out(episode, "aloha") == ("vector wrench", "vector tcp")
    with EpisodeReader(copy) as episode:
        assert (episode.vector("wrench")[4] == felt(4)["wrench"]).all()
        assert (episode.timesteps()[-1].observation["vectors"]["tcp"] == felt(20)["tcp"]).all()


def test_a_repaired_file_has_them_still(tmp_path: Path) -> None:
    part = write(tmp_path / "broken", close=True)
    cut = part.with_name("cut.hdf5")
    cut.write_bytes(part.read_bytes())
    done = repair(cut)
    with EpisodeReader(done.path) as episode:
        assert (episode.vector("tcp") == np.stack([felt(t)["tcp"] for t in range(episode.rows)])).all()


@pytest.mark.parametrize("wrong", ["gone", "flat", "text"])
def test_a_file_that_names_what_is_none_is_refused(tmp_path: Path, wrong: str) -> None:
    path = write(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["observations/wrench"]
        if wrong == "flat":
            file["observations/wrench"] = np.zeros(20)
        elif wrong == "text":
            file["observations/wrench"] = np.array([[b"x"]] * 20)
    with pytest.raises(EpisodeError, match="observations/wrench"):
        EpisodeReader(path)
