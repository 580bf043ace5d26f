"""Videos reach the PSNR that is asked for on every image, or say what keeps them from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")

from support.episodes import made_episodes as demo

from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.lerobot.video import USUAL_CRF, Encoding, VideoWriter, headers_of
from vgil_ros.datasets.manifest import read_manifest
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.proof import psnr
from vgil_ros.datasets.source import open_source
from vgil_ros.datasets.verify import verify

SIZE = (48, 64)
ROWS = 6


def smooth(t: int) -> np.ndarray:
    """What 4:2:0 and the usual CRF leave above 40 dB."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.repeat((40 + 2 * x + y + 3 * t).astype(np.uint8)[..., None], 3, axis=2)


def grainy(t: int) -> np.ndarray:
    """Grey noise: for a lower CRF."""
    noise = np.random.default_rng(t).normal(0, 8, SIZE)
    return np.repeat(np.clip(smooth(t)[..., 0] + noise, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def colourful(t: int) -> np.ndarray:
    """Colours that change from pixel to pixel: 4:2:0 alone leaves less than 40 dB."""
    return np.random.default_rng(t).integers(0, 256, (*SIZE, 3), np.uint8)


KINDS = {"smooth": smooth, "grainy": grainy, "colourful": colourful}


def write(folder: Path, kind: Any) -> None:
    m = demo.meta(cameras=(demo.CameraMeta("cam", *SIZE, "raw"),))
    writer = demo.EpisodeWriter(folder, m, min_free_bytes=0)
    for t in range(ROWS + 1):
        seen = demo.observation(t, m)
        seen["images"]["cam"] = kind(t)
        demo.add(writer, t, last=t == ROWS, seen=seen)
    writer.close()


@pytest.fixture
def episodes(tmp_path: Path) -> Path:
    """One of each kind, in turn: the same headers before, behind and between others."""
    for kind in ("smooth", "grainy", "colourful", "smooth"):
        write(tmp_path / "ours", KINDS[kind])
    return tmp_path / "ours"


def least_of(source: Path, out: Path) -> list[float]:
    before, after = open_source(source), open_source(out)
    found = []
    for number in range(len(before.names())):
        with before.open(number) as a, after.open(number) as b:
            found.append(min(psnr(a.image("cam", row), b.image("cam", row)) for row in range(ROWS)))
    return found


def test_every_image_of_every_episode_reaches_it_and_files_are_of_one_kind(episodes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_dataset(Plan(source=episodes, to="lerobot_v3"), out)
    reached = least_of(episodes, out)
    assert min(reached) >= 40, reached
    told = [one["streams"]["cam"] for one in read_manifest(out)["episodes"]]
    for one, least in zip(told, reached, strict=True):
        assert one["psnr_db"]["images"] == ROWS
        assert one["psnr_db"]["least"] == pytest.approx(least, abs=0.01)
    assert [one["pixels"] for one in told] == ["yuv420p", "yuv420p", "yuv444p", "yuv420p"]
    assert told[0]["crf"] == told[3]["crf"] == 18
    assert told[1]["crf"] < 18
    files = sorted(out.rglob("*.mp4"))
    assert len(files) == 3, "before, at and behind the episode of full colour"
    assert len({headers_of(file) for file in files}) == 2
    assert verify(out) == []


def test_where_it_cannot_be_reached_the_usual_stays_and_is_said(episodes: Path, tmp_path: Path) -> None:
    """LeRobot's conversion of v2.1 joins what comes, so that all has to share colours."""
    convert_dataset(Plan(source=episodes, to="lerobot_v2.1"), tmp_path / "out")
    reached = least_of(episodes, tmp_path / "out")
    assert min(reached[0], reached[1], reached[3]) >= 40
    assert reached[2] < 40
    told = [one["streams"]["cam"] for one in read_manifest(tmp_path / "out")["episodes"]]
    assert {one["pixels"] for one in told} == {"yuv420p"}
    assert told[2]["psnr_db"]["least"] == pytest.approx(reached[2], abs=0.01)
    assert told[2]["crf"] == 18
    assert len({headers_of(file) for file in (tmp_path / "out").rglob("*.mp4")}) == 1, "stitchable"


def test_av1_goes_lower_too(tmp_path: Path) -> None:
    write(tmp_path / "ours", grainy)
    convert_dataset(Plan(source=tmp_path / "ours", to="lerobot_v3", images="av1"), tmp_path / "out")
    assert min(least_of(tmp_path / "ours", tmp_path / "out")) >= 40


@pytest.mark.parametrize("asked", [{"quality": 30}, {"least_db": 0.0}])
def test_a_crf_that_is_asked_for_is_taken_and_its_loss_said(tmp_path: Path, asked: dict[str, Any]) -> None:
    write(tmp_path / "ours", grainy)
    convert_dataset(Plan(source=tmp_path / "ours", to="lerobot_v3", **asked), tmp_path / "out")
    (least,) = least_of(tmp_path / "ours", tmp_path / "out")
    told = read_manifest(tmp_path / "out")["episodes"][0]["streams"]["cam"]["psnr_db"]["least"]
    assert least < 40
    assert told == pytest.approx(least, abs=0.01)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"to": "zarr", "least_db": 40.0}, r"--psnr is 40 and nothing of zarr is a video; allowed: --psnr alone"),
        ({"to": "lerobot_v3", "least_db": 40.0, "quality": 20}, r"--psnr is 40 and --quality is given; allowed"),
        ({"to": "lerobot_v3", "least_db": 60.0}, r"--psnr is 60 dB; allowed: 0 \(any\) to 48"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, plan: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        Plan(source=tmp_path, **plan).checked()


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_the_same_frames_give_the_same_bytes_whatever_memory_held_before(tmp_path: Path, codec: str) -> None:
    """As a conversion that was killed and goes on in another process needs it."""
    random = np.random.default_rng(0)
    dirt: list[np.ndarray] = []
    found = set()
    for _ in range(60 if codec == "h264" else 3):
        writer = VideoWriter(tmp_path / "cam.mp4", 50.0, Encoding(codec, USUAL_CRF[codec]))
        for t in range(12):
            dirt = [*dirt[-20:], np.full(int(random.integers(100, 200_000)), 255, np.uint8)]
            del dirt[int(random.integers(0, len(dirt)))]
            writer.add(smooth(t)[:32, :48])
        writer.close()
        found.add((tmp_path / "cam.mp4").read_bytes())
    assert len(found) == 1
