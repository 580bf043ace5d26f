"""Files as others make them: what can be read is read, what cannot is named by every command; none stops a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as demo
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeError, EpisodeReader
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.errors import TrainingError

ROWS, H, W = 12, 48, 64
JPEGS = [cv2.imencode(".jpg", demo.image(t), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for t in range(ROWS)]
CAM = "observations/images/cam"
Change = Callable[[h5py.File], object]


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["episodes", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def make(path: Path, change: Change = lambda file: None) -> Path:
    """An episode in ALOHA's layout, and a change to it."""
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = False
        t = np.arange(ROWS)[:, None] + np.arange(4)
        file["observations/qpos"] = np.sin(0.1 * t).astype(np.float32)
        file["observations/qvel"] = np.cos(0.1 * t).astype(np.float32)
        file["observations/effort"] = np.cos(0.2 * t).astype(np.float32)
        file["action"] = np.sin(0.1 * t + 0.05).astype(np.float32)
        images(file, np.stack([demo.image(k) for k in range(ROWS)]))
        change(file)
    return path


def images(file: h5py.File, data: Any, name: str = CAM, **options: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, data=data, **options)


def put(file: h5py.File, name: str, data: Any) -> None:
    del file[name]
    file[name] = data


def ragged(file: h5py.File) -> None:
    del file[CAM]
    made = file.create_dataset(CAM, (ROWS,), h5py.vlen_dtype(np.uint8))
    for row, data in enumerate(JPEGS):
        made[row] = np.frombuffer(data, np.uint8)


def dangling(file: h5py.File) -> None:
    del file[CAM]
    file[CAM] = h5py.SoftLink("/nowhere/cam")


def group_for_a_camera(file: h5py.File) -> None:
    del file[CAM]
    file.create_group(CAM)["front"] = np.zeros((ROWS, H, W, 3), np.uint8)


JPEG_FORMS: dict[str, Change] = {
    "byte strings of one length": lambda f: images(f, np.array(JPEGS)),
    "opaque bytes": lambda f: images(f, np.array(JPEGS).view(f"V{max(map(len, JPEGS))}")),
    "arrays of their own length": ragged,
}


@pytest.mark.parametrize("form", JPEG_FORMS)
def test_jpegs_in_each_form_are_read(tmp_path: Path, form: str) -> None:
    path = make(tmp_path / "robotwin.hdf5", JPEG_FORMS[form])
    with EpisodeReader(path) as episode:
        assert episode.is_jpeg("cam")
        for row in (0, ROWS - 1):
            assert np.abs(episode.image("cam", row).astype(int) - demo.image(row)).mean() < 2
        assert episode.jpeg("cam", 3) == JPEGS[3]
    assert check_episode(path).ok
    for command in ("show", "check"):
        assert run(command, path)[0] == 0
    assert run("plot", path, "--out", tmp_path / "plots")[0] == 0
    for to in ("vgil", "aloha", "mobile_aloha", "act_plus_plus", "cobot_magic"):
        code, text = run("convert", path, tmp_path / f"{to}.hdf5", "--to", to, "--rate", 50)
        assert code == 0, text
        with EpisodeReader(tmp_path / f"{to}.hdf5") as new:
            assert np.abs(new.image("cam", 5).astype(int) - demo.image(5)).mean() < 3
    assert scan_folder(path)[0].cameras["cam"].jpeg


def test_bytes_behind_a_jpegs_end_cost_nothing(tmp_path: Path) -> None:
    """Some drivers append a few bytes of their own; every decoder passes over them."""
    path = make(tmp_path / "a.hdf5", lambda f: images(f, np.array([jpeg + b"\x01\x02driver" for jpeg in JPEGS])))
    with EpisodeReader(path) as episode:
        assert np.abs(episode.image("cam", 5).astype(int) - demo.image(5)).mean() < 2
    assert check_episode(path).ok, [*map(str, check_episode(path).findings)]


@pytest.mark.parametrize("order", [None, "bgr", "rgb"])
def test_png_rows_are_rgb_whatever_is_said_of_jpegs(tmp_path: Path, order: str | None) -> None:
    rows = [cv2.imencode(".png", demo.image(t)[..., ::-1])[1].tobytes() for t in range(ROWS)]

    def change(file: h5py.File) -> None:
        images(file, np.array(rows))
        if order is not None:
            file.attrs["jpeg_order"] = order

    path = make(tmp_path / "png.hdf5", change)
    with EpisodeReader(path) as episode:
        np.testing.assert_array_equal(episode.image("cam", 5), demo.image(5))
    assert check_episode(path).ok, [*map(str, check_episode(path).findings)]
    for to in ("vgil", "mobile_aloha", "act_plus_plus", "aloha"):
        code, text = run("convert", path, tmp_path / f"{to}.hdf5", "--to", to, "--rate", 50)
        assert code == 0, text
        with EpisodeReader(tmp_path / f"{to}.hdf5") as new:
            assert np.abs(new.image("cam", 5).astype(int) - demo.image(5)).mean() < 3
            assert to == "aloha" or new.jpeg("cam", 5).startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("value", "aborted"),
    [
        (False, None),
        (0, None),
        ("no", None),
        ("", None),
        (True, "nobody said why"),
        ("true", "nobody said why"),
        ("cam: silent", "cam: silent"),
    ],
)
def test_aborted_is_a_reason_or_a_truth_value(tmp_path: Path, value: object, aborted: str | None) -> None:
    path = make(tmp_path / "a.hdf5", lambda f: f.attrs.update(aborted=value))
    with EpisodeReader(path) as episode:
        assert episode.aborted == aborted
        assert ("aborted" in episode.attrs) == (aborted is not None)
    errors = [str(error) for error in check_episode(path).errors]
    assert [f"aborted: {aborted}" in error for error in errors] == ([] if aborted is None else [True])


def test_aborted_in_another_form_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "a.hdf5", lambda f: f.attrs.update(aborted=[1.0, 2.0]))
    with pytest.raises(EpisodeError, match=r"attribute aborted is .*; allowed: the reason as text, or a truth value"):
        EpisodeReader(path)


UNREADABLE: dict[str, tuple[Change, str]] = {
    "paths": (lambda f: images(f, [f"images/{k}.png" for k in range(ROWS)]), "holds file names, not images"),
    "paths as bytes": (lambda f: images(f, np.array([b"images/0.png"] * ROWS)), "holds file names, not images"),
    "channels first": (lambda f: images(f, np.zeros((ROWS, 3, H, W), np.uint8)), "channels come first"),
    "grey": (lambda f: images(f, np.zeros((ROWS, H, W), np.uint8)), r"uint8 \(12, 48, 64\) \(grey\)"),
    "grey with an axis": (lambda f: images(f, np.zeros((ROWS, H, W, 1), np.uint8)), r"\(grey\)"),
    "alpha": (lambda f: images(f, np.zeros((ROWS, H, W, 4), np.uint8)), "alpha channel"),
    "uint16": (lambda f: images(f, np.zeros((ROWS, H, W, 3), np.uint16)), r"images of uint16 \(12, 48, 64, 3\)"),
    "floats": (lambda f: images(f, np.zeros((ROWS, H, W, 3), np.float32)), r"images of float32 .* \(floats"),
    "group": (group_for_a_camera, "is a group; allowed: images as"),
    "dangling link": (dangling, "is a link to '/nowhere/cam', which the file does not have"),
    "claimed rows": (
        lambda f: images(f, None, shape=(1 << 40, 32), chunks=(1, 32), dtype=np.uint8),
        "claims 1099511627776 rows; the file holds 0 of them",
    ),
    "qpos of one dimension": (
        lambda f: put(f, "observations/qpos", np.zeros(ROWS)),
        r"observations/qpos is float64 \(12,\); allowed: \(T, D\) numbers",
    ),
    "actions of one dimension": (lambda f: put(f, "action", np.zeros(ROWS)), r"action is .* allowed: \(T, D\)"),
    "actions in words": (lambda f: put(f, "action", np.array([[b"left"]] * ROWS)), "action is .* allowed"),
    "group for actions": (lambda f: (f.pop("action"), f.create_group("action/left")), r"lacks \['action'\]"),
    "compress_len without end": (
        lambda f: f.create_dataset("compress_len", (1, 1 << 30), np.float32, chunks=(1, 256)),
        "compress_len claims 4294967296 bytes",
    ),
    "rows in words": (lambda f: f.attrs.update(rate_hz="fifty"), "rate_hz is 'fifty'; allowed: a number above 0"),
    "success in odd words": (lambda f: f.attrs.update(success="perhaps"), "success is 'perhaps'; allowed: a truth"),
    "no rate": (lambda f: f.attrs.update(rate_hz=np.nan), "rate_hz is .*nan.*; allowed: a number above 0"),
    "joint names": (lambda f: f.attrs.update(joint_names=np.arange(4)), "joint_names is .* allowed: names"),
    "group in itself": (lambda f: f["observations"].__setitem__("loop", f["/"]), "holds itself|are one group"),
    "name that is none": (lambda f: f.create_group("a\x1b[31m"), r"holds the name 'a\\x1b\[31m'"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named_by_every_command(tmp_path: Path, name: str) -> None:
    change, reason = UNREADABLE[name]
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder / "episode_0.hdf5")
    bad = make(folder / "episode_1.hdf5", change)
    report = check_episode(bad)
    assert not report.ok
    assert any(_matches(reason, str(error)) for error in report.errors), [*map(str, report.errors)]
    told = {
        "plot": run("plot", bad, "--out", tmp_path / "out"),
        **{to: run("convert", bad, tmp_path / f"{to}.hdf5", "--to", to, "--rate", 50) for to in ("vgil", "aloha")},
    }
    for command, (code, text) in told.items():
        assert code == 2, (command, text)
        assert "episode_1.hdf5" in text
        assert _matches(reason, text), (command, text)
    assert not list(tmp_path.glob("*.hdf5*")), "nothing of it is written on"
    code, text = run("check", folder)
    assert (code, "2 checked, 1 bad" in text) == (1, True)
    assert run("list", folder, "--json", tmp_path / "list.json")[0] == 0
    lines = {line["file"]: line for line in json.loads((tmp_path / "list.json").read_text())}
    assert (lines["episode_0.hdf5"]["rows"], lines["episode_0.hdf5"]["problems"]) == (ROWS, [])
    if "file names" not in reason:  # a table looks into no row
        assert any(_matches(reason, problem) for problem in lines["episode_1.hdf5"]["problems"])
    code, text = run("convert", folder, tmp_path / "all", "--to", "aloha")
    assert (code, "1 of 2 converted" in text) == (1, True)
    with pytest.raises(TrainingError, match=r"1 of 2 episodes cannot be trained from: .*episode_1\.hdf5"):
        scan_folder(folder)


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, " ".join(text.split())) is not None


@pytest.mark.parametrize(("word", "value"), [("no", False), ("False", False), ("yes", True), (1, True), (0.0, False)])
def test_success_in_words_and_numbers(tmp_path: Path, word: object, value: bool) -> None:
    with EpisodeReader(make(tmp_path / "a.hdf5", lambda f: f.attrs.update(success=word))) as episode:
        assert episode.success is value


def test_depth_among_the_images_is_depth(tmp_path: Path) -> None:
    """As act-plus-plus stores it: `*_depth`, uint16."""
    depth = (500 + np.arange(ROWS)[:, None, None] + np.zeros((1, H, W))).astype(np.uint16)
    path = make(tmp_path / "a.hdf5", lambda f: images(f, depth, "observations/images/cam_depth"))
    with EpisodeReader(path) as episode:
        assert (episode.camera_names, episode.depth_names) == (("cam",), ("cam_depth",))
        assert (episode.depth("cam_depth", 3) == 503).all()
    assert check_episode(path).ok
    assert run("plot", path, "--out", tmp_path)[0] == 0
    assert run("convert", path, tmp_path / "b.hdf5", "--rate", 50)[0] == 0
    with EpisodeReader(tmp_path / "b.hdf5") as new:
        assert (new.depth("cam_depth", 7) == 507).all()


def test_what_a_task_is_called_is_no_markup(tmp_path: Path) -> None:
    make(tmp_path / "a.hdf5", lambda f: f.attrs.update(task="[/red]pick\x1b[2J", format="vgil/1"))
    code, text = run("list", tmp_path)
    assert code == 0
    assert "[/red]pick" in text
    assert "\x1b" not in text


def test_hidden_files_are_no_episodes(tmp_path: Path) -> None:
    make(tmp_path / "episode_0.hdf5")
    (tmp_path / "._episode_0.hdf5").write_bytes(b"Mac OS X")
    (tmp_path / "._episode_1.hdf5.part").write_bytes(b"Mac OS X")
    assert run("check", tmp_path)[0] == 0
    assert "1 files" in run("list", tmp_path)[1]
    assert run("repair", tmp_path) == (0, "nothing to repair")
    assert len(scan_folder(tmp_path)) == 1


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(EpisodeError, match=r"a\.hdf5: holds only Git LFS' pointer .*`git lfs pull`"):
        EpisodeReader(path)


def test_extra_datasets_of_others_are_left_alone(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["language/embedding"] = np.zeros(512, np.float32)
        file["instruction"] = "pick up the cube"

    assert check_episode(make(tmp_path / "a.hdf5", change)).ok


def test_a_plain_h5py_file_opens_beside_our_reader(tmp_path: Path) -> None:
    path = make(tmp_path / "a.hdf5")
    with EpisodeReader(path) as episode, h5py.File(path) as plain:
        np.testing.assert_array_equal(plain["action"][()], episode.action)
    with h5py.File(path, locking=False) as unlocked, EpisodeReader(path) as episode:
        np.testing.assert_array_equal(unlocked["action"][()], episode.action)


def test_an_image_that_claims_to_be_huge_is_not_decoded(tmp_path: Path) -> None:
    """60000 x 60000 pixels would be 10 GB."""
    jpeg = bytearray(JPEGS[0])
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xea\x60\xea\x60"
    path = make(tmp_path / "a.hdf5", lambda f: images(f, np.array([bytes(jpeg)] * ROWS)))
    with EpisodeReader(path) as episode, pytest.raises(EpisodeError, match="60000x60000; allowed: up to 8192"):
        episode.image("cam", 0)
