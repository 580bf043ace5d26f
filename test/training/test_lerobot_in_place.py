"""Training from a LeRobotDataset as it lies on the disk gives what training from the episodes gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("torch")

from support.episodes import made_episodes as demo

from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.lerobot import picture_groups
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import members, open_source
from vgil_ros.training.config import parse_config
from vgil_ros.training.data import image_cache
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.run_log import read_log
from vgil_ros.training.trainer import Trainer


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Three episodes of ours whose pixels are kept."""
    folder = tmp_path / "episodes"
    for rows in (7, 9, 11):
        demo.write(folder, demo.meta(storage="raw"), rows, success=True)
    return folder


def losses(tree: dict) -> list[float]:
    """The loss of each step, of training and validation."""
    trainer = Trainer(parse_config(tree, "test"), progress=False, log=lambda _: None)
    try:
        trainer.run()
    finally:
        trainer.close()
    return [record["loss"] for record in read_log(Path(tree["out"]) / "log.jsonl") if record.get("loss") is not None]


def test_the_losses_are_those_of_the_episodes(
    raw: Path, tmp_path: Path, tree: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = losses(tree(raw, out=str(tmp_path / "ours"), steps=2))
    assert len(ours) >= 3
    for to in ("lerobot_v3", "lerobot_v2.1"):
        if to == "lerobot_v2.1":
            monkeypatch.setattr(picture_groups, "LARGE", 0)  # as LeRobot's own files: unpacked to disk first
            monkeypatch.setattr(picture_groups, "ROOM", 0)
        lerobot = tmp_path / to
        convert_dataset(Plan(source=raw, to=to, images="png"), lerobot)
        theirs = losses(tree(lerobot, out=str(tmp_path / f"{to}_out"), steps=2))
        assert theirs == pytest.approx(ours, abs=1e-5)


def test_a_scan_names_a_missing_video(raw: Path, tmp_path: Path) -> None:
    lerobot = tmp_path / "lerobot"
    convert_dataset(Plan(source=raw, to="lerobot_v2.1", images="h264"), lerobot)
    gone = lerobot / "videos/chunk-000/observation.images.cam_a/episode_000001.mp4"
    gone.unlink()
    with pytest.raises(VgilError, match=r"episode_000001\.mp4: no such file"):
        scan_folder(lerobot)
    said: list[str] = []
    assert len(scan_folder(lerobot, skip_bad=True, log=said.append)) == 2
    assert any("skipped" in words for words in said)


def test_groups_and_decoders_that_are_kept_open_do_not_grow_with_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some hundred episodes must not run into the limit on files, nor hold a decoder each."""
    for _ in range(6):
        demo.write(tmp_path / "episodes", demo.meta(storage="raw"), 3)
    for images in ("png", "h264"):
        lerobot = tmp_path / images
        convert_dataset(Plan(source=tmp_path / "episodes", to="lerobot_v2.1", images=images), lerobot)
        monkeypatch.setattr(picture_groups, "LARGE", 0)
        monkeypatch.setattr(picture_groups, "ROOM", 0)
        monkeypatch.setattr(picture_groups, "OPEN", 3)
        monkeypatch.setattr(image_cache, "MOST_DECODERS", 7)
        picture_groups._kept.clear()
        paths = members(lerobot) or []
        files = image_cache.EpisodeFileCache(paths, base=False)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(len(paths)):
            files.get(number).reader.image("cam_a", 1)
            files.get(number).reader.image("cam_b", 1)
        assert len(os.listdir("/proc/self/fd")) - before <= 2 * 3 + 3
        assert len(files._open) == 2, "a table and two cameras each"
        assert len(picture_groups._kept) == (3 if images == "png" else 0)
        files.close()
    picture_groups._kept.clear()


def test_pictures_are_not_unpacked_onto_a_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.write(tmp_path / "episodes", demo.meta(storage="raw"), 3)
    convert_dataset(Plan(source=tmp_path / "episodes", to="lerobot_v2.1", images="png"), tmp_path / "png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(picture_groups, "LARGE", 0)
    monkeypatch.setattr(picture_groups, "ROOM", 1 << 60)
    picture_groups._kept.clear()
    with open_source(tmp_path / "png").open(0) as theirs, open_source(tmp_path / "episodes").open(0) as ours:
        assert (theirs.image("cam_a", 1) == ours.image("cam_a", 1)).all()
    assert not list((tmp_path / "cache").rglob("*.bin"))
    assert [size > 0 for _, size in picture_groups._kept.values()] == [True], "it counts as memory"
    picture_groups._kept.clear()
