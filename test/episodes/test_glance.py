"""A list says of each file what opening it would say, whether a glance was enough or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as made

from vgil_ros.episodes import h5, summary
from vgil_ros.episodes.curation.labels import Label, write_label
from vgil_ros.episodes.reading.glance import glance
from vgil_ros.episodes.summary import Line, list_episodes


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """The list with every file opened."""
    with monkeypatch.context() as patch:
        patch.setattr(summary, "glance", lambda path: None)
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


def test_many_files_are_listed_by_processes(tmp_path: Path) -> None:
    first = made.write(tmp_path, made.meta(), 3)
    for number in range(1, summary.MANY):
        (tmp_path / f"episode_{number}.hdf5").hardlink_to(first)
    (tmp_path / f"episode_{summary.MANY}.hdf5").write_bytes(b"nothing of the kind")
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
