"""A list says of each file what opening it would say, whether a glance was enough or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as made

from vgil_ros.episodes import h5
from vgil_ros.episodes.curation.labels import Label, write_label
from vgil_ros.episodes.reading import listing
from vgil_ros.episodes.reading.attributes import _plain, read_attributes
from vgil_ros.episodes.reading.glance import glance
from vgil_ros.episodes.reading.listing import Line, list_episodes


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """The list with every file opened."""
    with monkeypatch.context() as patch:
        patch.setattr(listing, "glance", lambda path: None)
        return list_episodes(folder)


def attribute(key: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(key, value)


def replaced(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        if value is not None:
            file[name] = value

    return change


SEEN: dict[str, Callable[[h5py.File], None]] = {
    "as it was written": lambda file: None,
    "aborted": attribute("aborted", "the camera was silent"),
    "not aborted": attribute("aborted", False),
    "warnings": attribute("warnings", h5.text_array(["a", "b"])),
    "stopped, held": lambda file: file.attrs.update({"stopped": "disk", "rows_held": 3, "rows_dropped": 2}),
    "no task": lambda file: file.attrs.__delitem__("task"),
    "no success": lambda file: file.attrs.pop("success", None),
    "no order of cameras": lambda file: file.attrs.__delitem__("camera_names"),
    "one dataset shorter": replaced("action", np.zeros((3, 3), np.float32)),
}
OPENED: dict[str, Callable[[h5py.File], None]] = {
    "another format": lambda file: file.attrs.__delitem__("format"),
    "no action": replaced("action", None),
    "an action that is none": replaced("action", np.zeros(4)),
    "a link elsewhere": replaced("action", h5py.ExternalLink("other.hdf5", "action")),
    "a link within": replaced("action", h5py.SoftLink("/observations/qpos")),
    "a rate that is none": attribute("rate_hz", -1.0),
    "images that are none": replaced("observations/images/cam_a", np.zeros((5, 4, 4), np.float32)),
    "observations elsewhere": replaced("observations", h5py.ExternalLink("other.hdf5", "observations")),
    "a link elsewhere, deep inside": replaced("timesteps/reward", h5py.ExternalLink("other.hdf5", "reward")),
    "a link in a group of another's": lambda file: file.__setitem__("sync/mine/it", h5py.SoftLink("/action")),
    "one dataset under two names": lambda file: file.__setitem__("sync/again", file["action"]),
    "a name that cannot be printed": lambda file: file.__setitem__("sync/a\x07", 1),
    "a camera that is a group": lambda file: file.__setitem__("observations/images/cam_c/inside", np.zeros((5, 4))),
}


@pytest.mark.parametrize("name", [*SEEN, *OPENED])
def test_a_glance_says_what_opening_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = made.write(tmp_path, made.meta(), 5, success=True)
    with h5.amend(path) as file:
        {**SEEN, **OPENED}[name](file)
    assert (glance(path) is not None) == (name in SEEN)
    lines = list_episodes(tmp_path)
    assert lines == opened(tmp_path, monkeypatch)
    if name == "a link elsewhere":
        assert "other files are never read" in lines[0].problems[0]


ATTRIBUTES: dict[str, object] = {
    "text": "häßlich ☂", "no text": "", "ascii": np.bytes_(b"plain"), "fixed": np.array(b"abc", "S8"),
    "texts": h5.text_array(["a", "ü"]), "no texts": h5.text_array([]),
    "table": np.array([["a", "b"], ["c", "ö"]], h5py.string_dtype()),
    "ascii texts": np.array(["a"], h5py.string_dtype("ascii")),
    "true": True, "false": np.bool_(False), "whole": 7, "byte": np.uint8(255), "big-endian": np.array(-5, ">i4"),
    "real": 0.1, "half": np.float16(0.1), "real, big-endian": np.array(2.5, ">f8"), "long": np.longdouble(0.1),
    "complex": 1 + 2j, "numbers": np.arange(3.0), "truths": np.array([True, False]), "empty": h5py.Empty("f4"),
    "no numbers": np.zeros((0, 2)),
}  # fmt: skip


def test_attributes_are_what_h5py_gives(tmp_path: Path) -> None:
    """Whatever they are of; also text that is no UTF-8, and numbers of types that numpy has not."""
    path = tmp_path / "any.hdf5"
    with h5py.File(path, "w") as file:
        for name, value in ATTRIBUTES.items():
            file.attrs[name] = value
        file.attrs.create("words", 1, dtype=h5py.enum_dtype({"red": 0, "green": 1}, basetype="i1"))
        scalar, text = h5py.h5s.create(h5py.h5s.SCALAR), h5py.string_dtype()
        made = h5py.h5a.create(file.id, b"no utf-8", h5py.h5t.py_create(text, logical=True), scalar)
        made.write(np.array(b"\xff\xfe x", object), mtype=h5py.h5t.py_create(text))
        odd = h5py.h5t.IEEE_F32LE.copy()
        odd.set_ebias(120)
        h5py.h5a.create(file.id, b"odd", odd, scalar).write(np.array(1.5, "f4"))
    with h5py.File(path) as file:
        found = read_attributes(file, path)
        assert set(found) == set(file.attrs)
        for name, value in found.items():
            wanted = _plain(file.attrs[name])
            assert type(value) is type(wanted), name
            if isinstance(wanted, h5py.Empty):
                assert value.dtype == wanted.dtype
                continue
            np.testing.assert_array_equal(value, wanted, err_msg=name)
            assert np.asarray(value).dtype == np.asarray(wanted).dtype, name
        assert found["odd"] == 1.5
        assert found["no utf-8"] == "?? x"


def test_many_files_are_listed_by_processes(tmp_path: Path) -> None:
    first = made.write(tmp_path, made.meta(), 3)
    for number in range(1, listing.MANY):
        (tmp_path / f"episode_{number}.hdf5").hardlink_to(first)
    (tmp_path / f"episode_{listing.MANY}.hdf5").write_bytes(b"nothing of the kind")
    assert list_episodes(tmp_path, workers=2) == list_episodes(tmp_path)


def test_labels_depth_and_cut_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = (made.CameraMeta("cam_depth", 48, 64, None),)
    first = made.write(tmp_path, made.meta(depths=depth), 4)
    write_label(first, Label("unsure", tags=("dusk",)))
    cut = made.write(tmp_path, made.meta(), 4)
    cut.write_bytes(cut.read_bytes()[:5000])
    (tmp_path / "episode_7.hdf5").write_bytes(b"")
    lines = list_episodes(tmp_path)
    assert lines == opened(tmp_path, monkeypatch)
    assert (lines[0].label, lines[0].tags, lines[0].cameras) == ("unsure", ("dusk",), ("cam_b", "cam_a", "cam_depth"))
    assert glance(first) is not None
    assert [bool(line.problems) for line in lines] == [False, True, True]


def test_a_file_may_be_open_elsewhere_in_the_process_while_it_is_glanced_at(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.meta(), 3)
    with h5.open_briefly(path) as brief, h5.open_plain(path) as file:
        assert brief.attrs["format"] == file.attrs["format"]
        assert glance(path) is not None, "and the other way round"
    assert not brief.id.valid, "what was open within is closed"
    with h5py.File(path, "r+", locking=True) as file:
        file.attrs["note"] = "nobody reads it any more"
