"""Folders that hold episodes of more than one set-up."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.contracts import ARM, camera, small_robot
from support.episodes import made_episodes as demo
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.core.contract import parse_contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes import CameraMeta, EpisodeReader, h5
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.checks.same_setup import check_folder, differences, setup_of_contract, setup_of_episode
from vgil_ros.episodes.naming import episodes_in


def text(**changes: Any) -> str:
    return yaml.safe_dump(small_robot(**changes))


def write(folder: Path, contract: str) -> Path:
    """A short episode of a contract."""
    robot = parse_contract(contract, "test")
    cameras = tuple(CameraMeta(c.name, c.height, c.width, "jpeg") for c in robot.cameras)
    meta = demo.meta(contract=contract, rate_hz=robot.rate_hz, cameras=cameras, joint_names=Layout(robot).joint_names)
    return demo.write(folder, meta, 6)


def other_range() -> dict[str, Any]:
    arm = copy.deepcopy(ARM)
    arm["gripper"]["puppet_range"] = [0.02, 0.09]
    return {"arms": [arm]}


def other_order() -> dict[str, Any]:
    arm = copy.deepcopy(ARM) | {"joints": ["elbow", "waist", "grip"]}
    return {"arms": [arm]}


CHANGES = [
    ("rate", {"rate_hz": 50}, "rate_hz", "rate_hz: 50 here, 25 in episode_0.hdf5", "error"),
    (
        "range",
        other_range(),
        "gripper of left",
        "puppet_range [0.02, 0.09], master_range [0.0, 0.5] here, grip, puppet_range [0.02, 0.1]",
        "error",
    ),
    ("order", other_order(), "joints", "joints: left/elbow, left/waist, left/grip here", "error"),
    ("size", {"cameras": [camera("cam_a", height=24)]}, "size of cam_a", "size of cam_a: 24x64 here, 48x64", "error"),
    (
        "more",
        {"cameras": [camera("cam_a"), camera("wrist")]},
        "cameras",
        "cameras: cam_a, wrist here, cam_a in episode_0.hdf5",
        "warning",
    ),
]


@pytest.mark.parametrize(("changes", "key", "words", "severity"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_another_set_up_is_named_before_recording_and_by_the_check(
    tmp_path: Path, changes: dict[str, Any], key: str, words: str, severity: str
) -> None:
    with EpisodeReader(write(tmp_path, text())) as episode:
        theirs = setup_of_episode(episode)
    found = differences(setup_of_contract(parse_contract(text(**changes), "ours")), theirs, "episode_0.hdf5")
    assert any(words in one for one in found), found
    write(tmp_path, text())
    write(tmp_path, text(**changes))
    report = check_folder(tmp_path, map(check_episode, episodes_in(tmp_path)))
    (finding,) = [f for f in report.findings if f.stream == key]
    assert finding.severity == severity
    assert "in episode_0.hdf5, episode_1.hdf5; " in finding.message
    assert finding.message.count("in episode_2.hdf5") == 1
    result = CliRunner().invoke(app, ["episodes", "check", str(tmp_path), "--json", str(tmp_path / "c.json")])
    assert result.exit_code == (1 if severity == "error" else 0), result.output
    assert "3 checked, 0 bad" in result.output
    assert json.loads((tmp_path / "c.json").read_text())[-1]["file"] == str(tmp_path)


def test_what_the_numbers_of_a_vector_are_must_be_the_same() -> None:
    def felt(**changes: Any) -> dict[str, str]:
        vector = {"name": "fingers", "topic": "/hand", "type": "joint_state", "joints": ["f1", "f2"]}
        return setup_of_contract(parse_contract(text(vectors=[vector | changes]), "test"))

    assert differences(felt(), felt(topic="/other"), "there") == ()
    assert differences(felt(), felt(joints=["f2", "f1"]), "there") == (
        "vector fingers: joint_state of f1, f2 here, joint_state of f2, f1 in there",
    )
    twist = felt(joints=None, type="twist")
    assert differences(twist, felt(joints=None, type="wrench"), "there") == (
        "vector fingers: twist here, wrench in there",
    )


def test_the_same_robot_is_no_difference(tmp_path: Path) -> None:
    with EpisodeReader(write(tmp_path, text())) as episode:
        theirs = setup_of_episode(episode)
    changed = text(name="renamed", sync={"method": "latest"})
    assert differences(setup_of_contract(parse_contract(changed, "ours")), theirs, "episode_0.hdf5") == ()
    write(tmp_path, changed)
    assert check_folder(tmp_path, map(check_episode, episodes_in(tmp_path))).findings == ()


def test_files_that_do_not_tell_are_not_compared(tmp_path: Path) -> None:
    demo.write(tmp_path, demo.meta(), 6)
    with EpisodeReader(episodes_in(tmp_path)[0]) as episode:
        theirs = setup_of_episode(episode)
    assert "gripper of left" not in theirs
    assert theirs["rate_hz"] == "50"


def test_no_file_is_opened_twice_by_the_check_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in (25, 25, 50):
        write(tmp_path, text(rate_hz=rate))
    opened: list[str] = []
    own = h5.open_surveyed

    def counted(path: Path, **options: Any) -> Any:
        opened.append(path.name)
        return own(path, **options)

    monkeypatch.setattr(h5, "open_surveyed", counted)
    result = CliRunner().invoke(app, ["episodes", "check", str(tmp_path)])
    assert "rate_hz: is not the same in all episodes" in result.output
    assert sorted(opened) == ["episode_0.hdf5", "episode_1.hdf5", "episode_2.hdf5"]
