"""`vgil episodes`: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as demo
from support.paths import EPISODE_GOLDENS as GOLDEN
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeError, EpisodeReader, naming
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.convert import TARGETS, Target, convert

ROWS = 30


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["episodes", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    demo.write(tmp_path, demo.meta(), ROWS, success=True)
    shutil.copy(GOLDEN / "cobot_magic.hdf5", tmp_path)
    (tmp_path / "episode_1.hdf5").write_bytes(b"no episode")
    (tmp_path / "episode_2.hdf5.part").write_bytes(b"")
    return tmp_path


def test_list(folder: Path) -> None:
    code, text = run("list", folder, "--json", folder / "list.json")
    assert code == 0
    assert "episode_0.hdf5" in text
    lines = {line["file"]: line for line in json.loads((folder / "list.json").read_text())}
    good = lines["episode_0.hdf5"]
    assert (good["robot"], good["rows"], good["success"], good["problems"]) == ("test", ROWS, True, [])
    assert good["seconds"] == pytest.approx(ROWS / 50)
    assert lines["cobot_magic.hdf5"]["layout"] == "cobot_magic"
    assert "not an HDF5 file" in lines["episode_1.hdf5"]["problems"][0]
    assert "repair" in lines["episode_2.hdf5.part"]["problems"][0]
    assert run("list", folder / "nowhere")[0] == 2


def test_show(folder: Path) -> None:
    code, text = run("show", folder / "episode_0.hdf5", "--json", folder / "show.json")
    assert code == 0
    assert "jpeg_order bgr" in text
    told = json.loads((folder / "show.json").read_text())
    assert told["joints"]["arm/joint0"]["qpos"][1] <= 1.0
    assert told["attributes"]["sim"] is True
    assert run("show", folder / "episode_1.hdf5")[0] == 2
    assert run("show", folder / "episode_0.hdf5", "--layout", "nonsense")[0] == 2


def test_check(folder: Path) -> None:
    code, text = run("check", folder / "episode_0.hdf5", folder / "cobot_magic.hdf5")
    assert (code, "2 checked, 0 bad" in text) == (0, True)
    code, _ = run("check", folder, "--json", folder / "check.json")
    assert code == 1
    reports = {Path(r["file"]).name: r for r in json.loads((folder / "check.json").read_text())}
    assert [name for name, r in reports.items() if not r["ok"]] == ["episode_1.hdf5", folder.name]
    assert run("check", folder / "nowhere")[0] == 2
    assert run("check")[0] == 2


def test_repair(folder: Path) -> None:
    code, text = run("repair", folder)
    assert code == 0
    assert text == f"{folder / 'episode_2.hdf5.part'}: no row had reached it; removed\n"
    assert not (folder / "episode_2.hdf5.part").exists()
    assert run("repair", folder) == (0, "nothing to repair\n")
    assert run("repair", folder / "nowhere")[0] == 2


def test_plot(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    av = pytest.importorskip("av")
    out = tmp_path / "plots"
    assert run("plot", folder / "episode_0.hdf5", "--out", out)[0] == 0
    drawn = cv2.imread(str(out / "episode_0.png"))
    assert drawn is not None
    assert drawn.std() > 10
    with av.open(str(out / "episode_0.mp4")) as movie:
        stream = movie.streams.video[0]
        assert (stream.codec_context.name, float(stream.average_rate)) == ("h264", 50.0)
        frames = [frame.to_ndarray(format="rgb24") for frame in movie.decode(stream)]
    assert len(frames) == ROWS
    assert frames[0].shape == (48, 128, 3)  # cam_b left of cam_a
    for t in (0, ROWS - 1):
        wanted = np.hstack([demo.image(t), demo.image(t, shift=1)])
        assert np.abs(frames[t].astype(int) - wanted).mean() < 12


@pytest.mark.parametrize("name", ["vgil_single_arm", "mobile_aloha"])
def test_plot_of_peers_layouts(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    assert run("plot", GOLDEN / f"{name}.hdf5", "--out", tmp_path, "--no-video")[0] == 0
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize("missing", ["matplotlib", "av"])
def test_what_plot_needs_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    if missing == "av":
        pytest.importorskip("matplotlib")
    for name in [n for n in sys.modules if n == missing or n.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    code, text = run("plot", folder / "episode_0.hdf5", "--out", folder / "plots")
    assert code == 2
    assert "pip install 'vgil_ros[plot]'" in text


@pytest.mark.parametrize("name", [p.stem for p in sorted(GOLDEN.glob("*.hdf5"))])
@pytest.mark.parametrize("to", TARGETS)
def test_convert(tmp_path: Path, name: str, to: str) -> None:
    out = tmp_path / "new.hdf5"
    code, text = run("convert", GOLDEN / f"{name}.hdf5", out, "--to", to, "--rate", 50)
    assert code == 0, text
    assert check_episode(out).ok
    with EpisodeReader(GOLDEN / f"{name}.hdf5") as old, EpisodeReader(out) as new:
        assert new.action_alignment == ("next_frame" if to == "cobot_magic" else "same_stamp")
        whole = new.rows - (to == "cobot_magic")  # its trainer pairs observation k with action k+1
        wanted = old.aligned_action().astype(np.float32)
        np.testing.assert_array_equal(new.aligned_action()[:whole], wanted[:whole])
        base, wanted_base = new.aligned_base_action(), old.aligned_base_action()
        if wanted_base is not None:
            assert base is not None
            np.testing.assert_array_equal(base[:whole], wanted_base[:whole])
        np.testing.assert_array_equal(new.qpos, old.qpos.astype(np.float32))
        assert (new.qvel is None, new.effort is None) == (old.qvel is None, old.effort is None)
        for camera in old.camera_names:
            difference = np.abs(new.image(camera, 4).astype(int) - old.image(camera, 4))
            kept = to in ("aloha", "cobot_magic") or old.is_jpeg(camera)
            assert difference.max() == 0 if kept else difference.mean() < 3
        if to in ("vgil", "cobot_magic") and old.depth_names:
            np.testing.assert_array_equal(new.depth(old.depth_names[1], 2), old.depth(old.depth_names[1], 2))
    assert run("convert", GOLDEN / f"{name}.hdf5", out, "--to", to, "--rate", 50)[0] == 2  # never overwritten


@pytest.mark.parametrize("to", ["vgil", "aloha"])
def test_a_conversion_that_is_killed_leaves_no_episode_and_is_made_anew(tmp_path: Path, to: Target) -> None:
    source, out = demo.write(tmp_path, demo.meta(), 12, success=True), tmp_path / "out" / "episode_0.hdf5"
    out.parent.mkdir()
    with EpisodeReader(source) as episode:
        half = out.parent / ".episode_0.hdf5.half"
        if (child := os.fork()) == 0:
            convert(episode, out, to, progress=lambda rows: (os._exit(9) if row == 8 else row for row in rows))
        os.waitpid(child, 0)
        assert list(out.parent.iterdir()) == [half]
        assert run("repair", out.parent) == (0, "nothing to repair\n")
        handle = naming.lock(half)
        with pytest.raises(EpisodeError, match="another process makes this file; allowed: one at a time"):
            convert(episode, out, to)
        os.close(handle)
        convert(episode, out, to)
    with EpisodeReader(out) as made:
        assert made.rows == 12
    assert list(out.parent.iterdir()) == [out]


def test_convert_needs_a_rate_and_a_known_target(tmp_path: Path) -> None:
    code, text = run("convert", GOLDEN / "aloha.hdf5", tmp_path / "x.hdf5")
    assert (code, "stores no rate" in text) == (2, True)
    code, text = run("convert", GOLDEN / "aloha.hdf5", tmp_path / "x.hdf5", "--to", "lerobot")
    assert (code, "allowed: ['vgil', 'aloha', 'mobile_aloha', 'act_plus_plus', 'cobot_magic']" in text) == (2, True)
    assert not list(tmp_path.iterdir())


def test_converted_mobile_layout_is_padded_to_one_length(tmp_path: Path) -> None:
    run("convert", GOLDEN / "act_plus_plus.hdf5", tmp_path / "m.hdf5", "--to", "mobile_aloha")
    with h5py.File(tmp_path / "m.hdf5") as file:
        widths = {image.shape[1] for image in file["observations/images"].values()}
        assert widths == {int(file["compress_len"][()].max())}


def test_cobot_magics_own_dataset_class_pairs_action_and_observation(tmp_path: Path) -> None:
    """It takes `action[1:]` and `qpos[:-1]` whatever `sim` says, and its visualiser needs a base action."""
    path = demo.write(tmp_path, demo.meta(has_effort=True), ROWS)
    assert run("convert", path, tmp_path / "cobot.hdf5", "--to", "cobot_magic")[0] == 0
    with h5py.File(tmp_path / "cobot.hdf5") as file:
        assert not file.attrs["compress"]
        actions, states = file["action"][1:], file["observations/qpos"][:-1]
        np.testing.assert_array_equal(actions, [demo.action(t, demo.meta()) for t in range(ROWS - 1)])
        np.testing.assert_array_equal(states[4], demo.observation(4, demo.meta())["qpos"])
        assert file["base_action"].shape == (ROWS, 2)
        assert file["observations/images/cam_a"].shape == (ROWS, 48, 64, 3)
        assert {"qvel", "effort"} <= set(file["observations"])


def test_a_folder_is_converted_and_one_bad_file_does_not_stop_it(folder: Path) -> None:
    code, text = run("convert", folder, folder / "out" / "new", "--to", "act_plus_plus")
    assert code == 1
    assert "2 of 3 converted" in text
    assert "episode_1.hdf5" in text
    assert sorted(p.name for p in (folder / "out" / "new").iterdir()) == ["cobot_magic.hdf5", "episode_0.hdf5"]
    (folder / "episode_1.hdf5").unlink()
    assert run("convert", folder, folder / "all", "--to", "aloha")[0] == 0
    with h5py.File(folder / "out" / "new" / "cobot_magic.hdf5") as file:
        widths = {name: image.shape[1] for name, image in file["observations/images"].items()}
        longest = {name: int(row.max()) for name, row in zip(sorted(widths), file["compress_len"][()], strict=True)}
        assert widths == longest  # each camera's own, in the alphabet's order


def test_what_a_layout_has_no_place_for_is_said(tmp_path: Path) -> None:
    code, text = run("convert", GOLDEN / "cobot_magic.hdf5", tmp_path / "x.hdf5", "--to", "aloha")
    assert code == 0
    assert "has no place for: depth images of cam_high" in " ".join(text.split())


def test_what_an_episode_says_of_its_making_is_kept(tmp_path: Path) -> None:
    path = demo.write(tmp_path, demo.meta(storage="passthrough"), 6, encoding="jpeg")
    said = {
        "warnings": ["cam_a: two publishers", "cam_b: late"],
        "left_out": "effort of rows 3-4",
        "final_left_out": "an image",
        "rollout": True,
        "seed": 7,
        "aborted": "cam_a: silent",
        "stopped": "disk full",
    }
    with h5py.File(path, "r+") as file:
        file.attrs.update(said, min_delay_ms=np.arange(4.0))
    assert run("convert", path, tmp_path / "v.hdf5")[0] == 0
    with EpisodeReader(path) as before, EpisodeReader(tmp_path / "v.hdf5") as after:
        assert after.warnings == before.warnings == tuple(said.pop("warnings"))  # type: ignore[arg-type]
        assert {key: after.attrs[key] for key in said} == said
        np.testing.assert_array_equal(after.attrs["min_delay_ms"], np.arange(4.0))
        steps = after.timesteps()
        assert [step.step_type for step in steps] == [step.step_type for step in before.timesteps()]
        assert len(steps) == 7
        np.testing.assert_array_equal(after.final_image("cam_b"), before.final_image("cam_b"))
    text = " ".join(run("convert", path, tmp_path / "a.hdf5", "--to", "aloha")[1].split())
    assert "has no place for: the word that it was aborted (cam_a: silent)" in text


def test_a_cameras_own_jpegs_become_the_peers(tmp_path: Path) -> None:
    """act-plus-plus' and Cobot Magic's loaders take what `imdecode` gives for RGB."""
    own = demo.write(tmp_path / "own", demo.meta(storage="passthrough"), 6, encoding="jpeg")
    assert run("convert", own, tmp_path / "m.hdf5", "--to", "mobile_aloha")[0] == 0
    assert run("convert", own, tmp_path / "v.hdf5", "--to", "vgil")[0] == 0
    for name in ("m.hdf5", "v.hdf5"):
        with h5py.File(tmp_path / name) as file:
            pixels = cv2.imdecode(file["observations/images/cam_b"][3], cv2.IMREAD_COLOR)
        assert np.abs(pixels - demo.image(3).astype(int)).mean() < 5
    with EpisodeReader(own) as before, EpisodeReader(tmp_path / "v.hdf5") as after:
        np.testing.assert_array_equal(before.arrival_ns, after.arrival_ns)
