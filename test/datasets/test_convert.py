"""Conversion between all layouts: values, loss as stated, resumption, and what is said of bad input."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")
pytest.importorskip("zarr")

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.episodes import made_episodes as demo
from support.episodes.killed_worker import DeadlyPieces
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.datasets import convert as conversion
from vgil_ros.datasets import pieces, workers
from vgil_ros.datasets.convert import MAKING, convert_dataset
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.lerobot.info import feature
from vgil_ros.datasets.lerobot.tables import EpisodeRows
from vgil_ros.datasets.manifest import MANIFEST, read_manifest
from vgil_ros.datasets.pieces import write_json
from vgil_ros.datasets.plan import TARGETS, Plan
from vgil_ros.datasets.proof import psnr
from vgil_ros.datasets.source import open_source
from vgil_ros.datasets.stored import column
from vgil_ros.datasets.verify import verify
from vgil_ros.episodes.layouts import LAYOUTS
from vgil_ros.episodes.meta import VectorMeta
from vgil_ros.episodes.writing import disk

SIZE = (32, 48)
LOSSLESS = {"zarr", "aloha", "cobot_magic", "mcap"}
STAMPED = ("vgil", "zarr", "mcap")  # and LeRobot's
EVERY = ["qpos", "action", "qvel", "effort", "base_vel", "base_action", "stamp_ns", "skew_ns", "flags"]


def grey(t: int, shift: int) -> np.ndarray:
    """A smooth image without colour: what 4:2:0 leaves as it is."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.repeat((40 + 2 * x + y + 3 * t + 7 * shift).astype(np.uint8)[..., None], 3, axis=2)


def write(folder: Path, rows: int, storage: Any = "raw", *, seed: int = 0, base: bool = False, **more: Any) -> Path:
    """An episode of random numbers and smooth grey images."""
    cameras = tuple(demo.CameraMeta(name, *SIZE, storage) for name in ("cam_b", "cam_a"))
    m = demo.meta(storage=storage, cameras=cameras, has_effort=True, has_base=base, **more)
    random = np.random.default_rng(seed)
    writer = demo.EpisodeWriter(folder, m, min_free_bytes=0)
    for t in range(rows + 1):
        seen = demo.observation(t, m)
        seen["qpos"] = random.normal(size=m.dim).astype(np.float32)
        for i, camera in enumerate(m.cameras):
            image = grey(t, i)
            seen["images"][camera.name] = demo.frame(image, "jpeg") if storage == "passthrough" else image
        demo.add(writer, t, last=t == rows, seen=seen, stamp_ns=demo.START_NS + t * demo.PERIOD_NS + int(t % 3) * 999)
    return writer.close(success=None if seed % 3 == 0 else seed % 3 == 1)


def check_equal(source: Any, target: Any, to: str) -> None:
    """Everything that a layout keeps is what it was."""
    rows = source.rows - 1 if to == "cobot_magic" else source.rows  # whose last row has no action of its own
    for name in EVERY:
        ours, theirs = column(source, name), column(target, name)
        kept = to in STAMPED or to.startswith("lerobot") or not name.endswith(("_ns", "flags", "base_vel"))
        if ours is not None and kept:
            assert theirs is not None, name
            np.testing.assert_array_equal(theirs[:rows], ours[:rows], err_msg=f"{to} {name}")
    for camera in source.camera_names:
        for row in (0, source.rows - 1):
            ratio = psnr(source.image(camera, row), target.image(camera, row))
            assert ratio >= 40, f"{to} {camera} row {row}: {ratio:.1f} dB"


@given(
    lengths=st.lists(st.integers(2, 6), min_size=1, max_size=2),
    first=st.sampled_from(TARGETS),
    second=st.sampled_from(TARGETS),
    storage=st.sampled_from(["raw", "jpeg", "passthrough"]),
    base=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # an example takes too long to be made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_pair_of_layouts(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    first: str,
    second: str,
    storage: str,
    base: bool,
    seed: int,
) -> None:
    """Ours -> first -> second: numbers bit-equal, images exact or with little loss, JPEGs kept where they can be."""
    folder = tmp_path_factory.mktemp("pair")
    for i, rows in enumerate(lengths):
        write(folder / "ours", rows, storage, seed=seed + i, base=base)
    convert_dataset(Plan(source=folder / "ours", to=first), folder / "first")
    layout = first if first in LAYOUTS else None
    again = Plan(source=folder / "first", to=second, rate_hz=50.0, layout=layout)
    convert_dataset(again, folder / "second")
    ours, one = open_source(folder / "ours"), open_source(folder / "first", layout)
    two = open_source(folder / "second", second if second in LAYOUTS else None)
    for number, rows in enumerate(lengths):
        with ours.open(number) as a, one.open(number) as b, two.open(number) as c:
            assert a.rows == b.rows == c.rows == rows
            check_equal(a, b, first)
            check_equal(b, c, second)
            if storage == "jpeg" and first in ("vgil", "mobile_aloha", "act_plus_plus", "mcap"):
                assert all(a.jpeg("cam_a", row) == b.jpeg("cam_a", row) for row in range(rows))
            if first in LOSSLESS:
                np.testing.assert_array_equal(a.image("cam_b", 0), b.image("cam_b", 0))
            if storage == "passthrough" and first == "lerobot_v3":
                assert a.jpeg_order("cam_a") == "rgb"
    assert verify(folder / "first") == []
    streams = read_manifest(folder / "first")["episodes"][0]["streams"]
    assert streams["qpos"]["largest_error"] == 0.0
    assert (streams["stamp_ns"]["largest_error"] == 0.0) == (first in STAMPED or first.startswith("lerobot"))


def test_pictures_in_the_table_are_exact_and_camera_jpegs_stay(tmp_path: Path) -> None:
    write(tmp_path / "raw", 4, "raw")
    write(tmp_path / "jpeg", 4, "passthrough")
    for name in ("raw", "jpeg"):
        convert_dataset(Plan(source=tmp_path / name, to="lerobot_v3", images="png"), tmp_path / f"{name}_out")
        with open_source(tmp_path / name).open(0) as ours, open_source(tmp_path / f"{name}_out").open(0) as theirs:
            for row in range(4):
                np.testing.assert_array_equal(ours.image("cam_a", row), theirs.image("cam_a", row))
            if name == "jpeg":
                assert ours.jpeg("cam_a", 2) == theirs.jpeg("cam_a", 2)
    streams = read_manifest(tmp_path / "jpeg_out")["episodes"][0]["streams"]
    assert streams["cam_a"]["kept"] == "bytes"


def tree(folder: Path) -> dict[str, str]:
    """The hash of each file of data."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


SCRIPT = """
import sys
from pathlib import Path
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.pieces import write_json
from vgil_ros.datasets.plan import Plan
print("ready", flush=True)
convert_dataset(Plan(source=Path(sys.argv[1]), to=sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_videos_of_several_episodes_are_joined_whole(tmp_path: Path, codec: str) -> None:
    """Found: the decoder of AV1 is no encoder, and the container asked for one of its name."""
    for rows in (5, 4):
        demo.write(tmp_path / "source", demo.meta(), rows)
    convert_dataset(Plan(source=tmp_path / "source", to="lerobot_v3", images=codec), tmp_path / "out")
    before, after = open_source(tmp_path / "source"), open_source(tmp_path / "out")
    for number, rows in enumerate((5, 4)):
        with before.open(number) as source, after.open(number) as target:
            assert target.rows == rows
            for camera in source.camera_names:
                assert min(psnr(source.image(camera, row), target.image(camera, row)) for row in range(rows)) > 30


@pytest.mark.parametrize("to", ["lerobot_v3", "mcap"])
def test_killed_and_resumed_is_byte_equal(tmp_path: Path, to: str) -> None:
    """kill -9 at random moments; the run that ends gives what an unbroken one gives."""
    for i in range(6):
        write(tmp_path / "ours", 12 + i, seed=i)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    convert_dataset(Plan(source=tmp_path / "ours", to=to), whole)
    random = np.random.default_rng(5)
    for _ in range(3):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "ours"), to, str(broken)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ})
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(random.uniform(0.02, 0.5)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (broken / MANIFEST).is_file() and not (broken / MAKING).is_dir():
            break
    if (broken / MAKING).is_dir() or not broken.is_dir():
        convert_dataset(Plan(source=tmp_path / "ours", to=to), broken)
    assert tree(broken) == tree(whole)
    assert verify(broken) == []


@pytest.mark.parametrize("to", ["lerobot_v3", "lerobot_v2.1", "zarr", "vgil", "mcap"])
def test_cut_off_at_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    """Broken off after a piece, within the assembly, and among the last renames; nothing that is done is done again."""
    for i in range(3):
        write(tmp_path / "ours", 3 + i, seed=i)
    plan, out = Plan(source=tmp_path / "ours", to=to), tmp_path / "out"
    convert_dataset(plan, tmp_path / "whole")
    make = workers.make_piece
    made: list[int] = []

    def counted(*given: Any) -> str | None:
        if len(made) == stop:
            raise KeyboardInterrupt
        made.append(given[-1])
        return make(*given)

    monkeypatch.setattr(workers, "make_piece", counted)
    stop = 1
    with pytest.raises(KeyboardInterrupt):
        convert_dataset(plan, out)
    stop = 99
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(conversion, "_same_plan", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            convert_dataset(plan, out)
    assert sorted(made) == [0, 1, 2], "each episode once"
    with monkeypatch.context() as patch:

        def first_alone(made_in: Path, target: Path) -> None:
            entry = min(made_in.iterdir(), key=lambda path: (path.name == MANIFEST, path.name))
            entry.replace(target / entry.name)
            raise KeyboardInterrupt

        patch.setattr(conversion, "_publish", first_alone)
        with pytest.raises(KeyboardInterrupt):
            convert_dataset(plan, out)
    result = convert_dataset(plan, out)
    assert (result.episodes, result.made) == (3, 0)
    assert sorted(made) == [0, 1, 2]
    assert not (out / MAKING).exists()
    if to != "vgil":  # an HDF5 file says when it was made
        assert tree(out) == tree(tmp_path / "whole")
    assert verify(out) == []


def test_a_broken_episode_does_not_lose_the_others(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "ours", 4, seed=i)
    broken = tmp_path / "ours/episode_1.hdf5"
    broken.write_bytes(broken.read_bytes()[:3000])
    write(tmp_path / "ours", 4, dim=4)  # another robot
    done = CliRunner().invoke(app, ["dataset", "convert", *map(str, (tmp_path / "ours", tmp_path / "out")), "--to",
                                    "lerobot_v3", "--workers", "2"])  # fmt: skip
    assert done.exit_code == 1, done.output
    assert "episode_1.hdf5" in done.output
    assert "the first episode has 3" in done.output
    assert "2 of 4 episodes" in done.output
    manifest = read_manifest(tmp_path / "out")
    assert [one["source"] for one in manifest["episodes"]] == ["episode_0", "episode_2"]
    assert set(manifest["left_out"]) == {"episode_1", "episode_3"}
    assert open_source(tmp_path / "out").names() == ["episode_0", "episode_1"]


def test_a_full_disk_stops_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No episode is left out for want of room, neither while pieces are made nor while they are put together."""
    for i in range(3):
        write(tmp_path / "ours", 3, seed=i)
    plan, out = Plan(source=tmp_path / "ours", to="aloha"), tmp_path / "out"
    publish = pieces.publish_piece

    def full(error: Exception) -> Any:
        def publish_or_fail(part: Path, facts: Any, folder: Path) -> None:
            if folder.name.endswith("1"):
                raise error
            publish(part, facts, folder)

        return publish_or_fail

    hdf5 = RuntimeError("flush failed (file write failed: errno = 28, error message = 'No space left on device')")
    for error in (OSError(errno.ENOSPC, "No space left on device"), hdf5):
        with monkeypatch.context() as patch:
            patch.setattr(workers, "publish_piece", full(error))
            with pytest.raises(DatasetError, match=r"No space left.*the same command goes on"):
                convert_dataset(plan, out)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "free_bytes", lambda _: 1 << 20)
        with pytest.raises(DatasetError, match=r"1 MiB free on this disk.*the same command goes on"):
            convert_dataset(plan, out)
    assert not (out / MANIFEST).exists()
    assert not list((out / MAKING / "pieces").glob("*.part"))
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_publish", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
        with pytest.raises(DatasetError, match=r"No space left.*the same command goes on"):
            convert_dataset(plan, out)
    result = convert_dataset(plan, out)
    assert (result.episodes, result.made, result.left_out) == (3, 0, {})
    assert verify(out) == []


def test_an_episode_that_kills_its_process_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        write(tmp_path / "ours", 3, seed=i)
    monkeypatch.setattr(workers, "PieceWork", DeadlyPieces)
    result = convert_dataset(Plan(source=tmp_path / "ours", to="aloha"), tmp_path / "out", workers=2)
    assert result.episodes == 2
    assert list(result.left_out) == ["episode_2"]
    assert "episode_2: the process " in result.left_out["episode_2"]
    assert "that worked on it was killed (SIGKILL)" in result.left_out["episode_2"]


def test_two_conversions_do_not_share_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "ours", 3)
    plan, out = Plan(source=tmp_path / "ours", to="aloha"), tmp_path / "out"

    def another(items: Any, what: str, count: int) -> Any:
        if what == "convert":
            with pytest.raises(DatasetError, match="another process converts into this folder"):
                convert_dataset(plan, out)
        return items

    assert convert_dataset(plan, out, progress=another).episodes == 1
    assert verify(out) == []


def test_what_a_layout_has_no_place_for_is_said(tmp_path: Path) -> None:
    """Vectors are lost with a word; warnings of the recording are kept."""
    m = demo.meta(storage="raw", vectors=(VectorMeta("wrench", 6),))
    writer = demo.EpisodeWriter(tmp_path / "ours", m, min_free_bytes=0)
    for t in range(4):
        seen = demo.observation(t, m) | {"vectors": {"wrench": np.full(6, t / 3)}}
        demo.add(writer, t, last=t == 3, seen=seen)
    writer.close(warnings=["camera late"])
    for to, kept in (("vgil", True), ("zarr", False), ("lerobot_v3", False)):
        command = ["dataset", "convert", str(tmp_path / "ours"), str(tmp_path / to), "--to", to]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert ("vector wrench: the layout has no place for it" in done.output) != kept
        streams = read_manifest(tmp_path / to)["episodes"][0]["streams"]
        assert (streams["vector wrench"]["largest_error"] == 0.0) == kept
        if not kept:
            with open_source(tmp_path / to).open(0) as episode:
                assert episode.warnings == ("camera late",)


@pytest.mark.parametrize(("most", "bad"), [(1.0, True), (255.0, False)])
def test_zarr_images_of_floats(tmp_path: Path, most: float, bad: bool) -> None:
    """Up to 1 they would be read as black; a first image without light says nothing."""
    import zarr

    root: Any = zarr.open_group(str(tmp_path / "data.zarr"), mode="w", zarr_format=2)
    images = np.linspace(0, most, 4, dtype=np.float32)[:, None, None, None] * np.ones((4, 8, 8, 3), np.float32)
    values = {"data/state": np.zeros((4, 2), "f4"), "data/action": np.zeros((4, 2), "f4"), "data/cam": images}
    for name, array in {**values, "meta/episode_ends": np.array([4])}.items():
        root.create_array(name, shape=array.shape, dtype=array.dtype)[:] = array
    source = open_source(tmp_path / "data.zarr")
    if bad:
        with pytest.raises(DatasetError, match=r"data/cam holds float32 up to 1; allowed: uint8, or 0 to 255"):
            source.open(0)
        return
    with source.open(0) as episode:
        assert int(episode.image("cam", 3).min()) == 255


@pytest.mark.parametrize(
    ("camera", "key", "value"),
    [
        ("/tmp/x", None, None),
        ("../../x", None, None),
        ("a/../x", None, None),
        (".hidden", None, None),
        ("cam", "data_path", "../data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"),
        ("cam", "video_path", "/videos/{video_key}/{chunk_index}/{file_index}.mp4"),
        ("cam", "data_path", "data/{nothing}.parquet"),
    ],
)
@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_foreign_data_set_names_no_file_outside(
    tmp_path: Path, version: str, camera: str, key: str | None, value: str | None
) -> None:
    image, numbers = feature("video", [8, 8, 3]), feature("float32", [2])
    features = {"observation.state": numbers, "action": numbers, f"observation.images.{camera}": image}
    about = {"codebase_version": version, "fps": 10, "features": features, **({key: value} if key else {})}
    meta = tmp_path / "meta"
    (meta / "episodes/chunk-000").mkdir(parents=True)
    (meta / "info.json").write_text(json.dumps(about))
    row = {"episode_index": 0, "length": 3, "tasks": ["t"]}
    (meta / "tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": "t"}))
    (meta / "episodes.jsonl").write_text(json.dumps(row))
    pq.write_table(pa.table({"task_index": [0], "task": ["t"]}), str(meta / "tasks.parquet"))
    row |= {f"{one}/{name}": 0 for one in ("data", f"videos/observation.images.{camera}") for name in
            ("chunk_index", "file_index", "from_timestamp")}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), str(meta / "episodes/chunk-000/file-000.parquet"))
    with pytest.raises(DatasetError, match=r"feature is named|within|nothing|chunk_index"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]], "rows of action are of different lengths"),
        ([[1.0, 2.0], None, [5.0, 6.0]], "action has 1 empty values"),
        ([[1.0, 2.0], [3.0, None], [5.0, 6.0]], "action has 1 empty values"),
    ],
)
def test_ragged_rows_are_refused(tmp_path: Path, rows: list, words: str) -> None:
    """Three rows of six numbers in all are not three rows of two."""
    kinds = [pa.list_(pa.float32()), pa.large_list(pa.float32())]
    kinds += [] if "lengths" in words else [pa.list_(pa.float32(), 2)]
    for i, kind in enumerate(kinds):
        file = tmp_path / f"{i}.parquet"
        pq.write_table(pa.table({"action": pa.array(rows, kind)}), str(file))
        with pytest.raises(DatasetError, match=words):
            EpisodeRows(file, None).columns(["action"])


def test_verify_finds_what_was_changed(tmp_path: Path) -> None:
    write(tmp_path / "ours", 6)
    write(tmp_path / "ours", 6, seed=1)
    out = tmp_path / "out"
    convert_dataset(Plan(source=tmp_path / "ours", to="lerobot_v2.1"), out)
    video = out / "videos/chunk-000/observation.images.cam_a/episode_000001.mp4"
    shutil.copyfile(str(video).replace("cam_a", "cam_b"), video)
    table = out / "data/chunk-000/episode_000000.parquet"
    table.write_bytes(table.read_bytes()[:-40])
    done = CliRunner().invoke(app, ["dataset", "verify", str(out)])
    assert done.exit_code == 1, done.output
    assert "episode_000000.parquet" in done.output
    assert "episode_1: cam_a is not what was written" in done.output


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"to": "aloha", "images": "png"}, "--images is 'png'; allowed for aloha"),
        ({"to": "lerobot_v3", "quality": 99}, "--quality is 99; allowed: 0 to 51"),
        ({"to": "zarr", "layout": "other"}, "--layout is 'other'; allowed"),
        ({"to": "zarr", "source": "nowhere"}, "no such file or folder"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, plan: dict, words: str) -> None:
    (tmp_path / "empty").mkdir()
    source = tmp_path / plan.pop("source", "empty")
    with pytest.raises(DatasetError) as caught:
        convert_dataset(Plan(source=source, **plan), tmp_path / "out")
    assert words in str(caught.value)


def test_names_that_no_episode_has_are_refused(tmp_path: Path) -> None:
    """Whatever the source's kind; with `only` of names that there are, those alone are converted."""
    for seed in range(7):
        write(tmp_path / "ours", 3, seed=seed)
    convert_dataset(Plan(source=tmp_path / "ours", to="zarr"), tmp_path / "zarr")
    for kind in ("ours", "zarr"):
        names = open_source(tmp_path / kind).names()
        only = (names[5], "episode_9", names[1], "Episode_0", "episode_9")
        words = (
            r"`only` names \['episode_9', 'Episode_0'\], which no episode has; allowed: names of its 7 episodes, "
            rf"\['{names[0]}', .*'{names[4]}'\] and 2 others"
        )
        out = tmp_path / f"{kind}_out"
        with pytest.raises(DatasetError, match=words):
            convert_dataset(Plan(source=tmp_path / kind, to="zarr", only=only), out)
        assert not out.exists()
        convert_dataset(Plan(source=tmp_path / kind, to="zarr", only=(names[5], names[1])), out)
        assert [episode["source"] for episode in read_manifest(out)["episodes"]] == [names[1], names[5]]


def test_nothing_is_overwritten_and_another_plan_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "ours", 3)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").touch()
    with pytest.raises(DatasetError, match="nothing is overwritten"):
        convert_dataset(Plan(source=tmp_path / "ours", to="zarr"), full)
    done = tmp_path / "done"
    convert_dataset(Plan(source=tmp_path / "ours", to="zarr"), done)
    with pytest.raises(DatasetError, match="holds a whole data set already"):
        convert_dataset(Plan(source=tmp_path / "ours", to="zarr"), done)
    (tmp_path / "other" / MAKING / "pieces").mkdir(parents=True)
    plan = Plan(source=tmp_path / "ours", to="zarr").checked()
    write_json(tmp_path / "other" / MAKING / "plan.json", plan.model_dump(mode="json"))
    with pytest.raises(DatasetError, match=r"a conversion was cut off that had to: 'zarr', now 'lerobot_v3'"):
        convert_dataset(Plan(source=tmp_path / "ours", to="lerobot_v3"), tmp_path / "other")


def test_odd_images_have_no_video(tmp_path: Path) -> None:
    m = demo.meta(storage="raw", cameras=(demo.CameraMeta("cam", 33, 48, "raw"),))
    demo.write(tmp_path / "ours", m, 3)
    with pytest.raises(DatasetError, match=r"33x48; allowed in a video: even sides; take --images png"):
        convert_dataset(Plan(source=tmp_path / "ours", to="lerobot_v3"), tmp_path / "out")


MEMORY = """
import resource, sys
from pathlib import Path
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.plan import Plan
for name in ("few", "many"):
    convert_dataset(Plan(source=Path(sys.argv[1], name), to="lerobot_v3"), Path(sys.argv[1], f"{name}_out"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_is_flat_in_the_number_of_episodes(tmp_path: Path) -> None:
    first = write(tmp_path / "few", 4)
    (tmp_path / "many").mkdir()
    for number in range(100):
        os.link(first, tmp_path / "many" / f"episode_{number}.hdf5")
    for number in range(1, 10):
        os.link(first, tmp_path / "few" / f"episode_{number}.hdf5")
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True)
    few, many = (int(peak) / 1024 for peak in done.stdout.split())  # MiB
    assert many < few + 30, (few, many)
