"""Robots, URDFs, tasks, operators and camera places that are not in the package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("mujoco")

from support.paths import process_environment

from vgil_ros.assets import contract_path, load_contract, share_dir
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.operators import make_operator
from vgil_ros.robots.plugins import PluginError
from vgil_ros.robots.sim.robot import SimRobot
from vgil_ros.robots.sim.tasks import task_class
from vgil_ros.robots.urdf import load_urdf

MODULE = '''
from vgil_ros.robots.operators.script import Goal, Move, Operator
from vgil_ros.robots.sim.tasks import Task


class Wave(Task):
    """Done at once; there is nothing on the table."""

    name = "wave"
    max_reward = 1.0
    usual_ticks = 20
    operator = "lab_tasks:Waver"

    def choose(self, arms):
        return (arms[0],)

    def add(self, spec):
        pass

    def place(self, data, rng):
        pass

    def reward(self, data):
        return 1.0


class Waver(Operator):
    def script(self):
        yield Move(0.5, {self.robot.task.arms[0].arm.name: Goal(home=True)})


class Neither:
    pass


class Clumsy(Wave):
    operator = "lab_tasks:Lost"

    def __init__(self, arms):
        raise KeyError("cube")


class Crooked(Wave):
    def add(self, spec):
        return 1 / 0


class Astray(Wave):
    operator = "lab_tasks:Lost"


class Lost(Waver):
    def __init__(self, robot, seed):
        self.robot = robot.nowhere
'''


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of tasks, a URDF and a contract that names it; an installed package beside it."""
    (tmp_path / "lab_tasks.py").write_text(MODULE)
    (tmp_path / "urdf").mkdir()
    text = (share_dir() / "config" / "urdf" / "vx300s.urdf").read_text()
    (tmp_path / "urdf" / "mine.urdf").write_text(text)
    contract = yaml.safe_load(contract_path("sim_single").read_text())
    contract["arms"][0]["urdf"] = "urdf/mine.urdf"
    for camera in contract["cameras"]:
        camera |= {"height": 24, "width": 32}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(contract))
    info = tmp_path / "lab_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[vgil_ros.tasks]\nlab_wave = lab_tasks:Wave\nbroken = lab_tasks:Missing\nother = lab_tasks:Neither\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path / "urdf")  # paths count from the contract's folder, not from here
    yield tmp_path
    sys.modules.pop("lab_tasks", None)


def changed(lab: Path, **camera: Any) -> Path:
    """The contract with its first camera changed."""
    contract = yaml.safe_load((lab / "mine.yaml").read_text())
    contract["cameras"][0] |= camera
    (lab / "changed.yaml").write_text(yaml.safe_dump(contract))
    return lab / "changed.yaml"


def test_a_urdf_is_found_from_the_contracts_folder_on(lab: Path) -> None:
    contract, text = load_contract(str(lab / "mine.yaml"))
    assert contract.arms[0].urdf == str(lab / "urdf" / "mine.urdf")
    assert "urdf/mine.urdf" in text, "what goes into episodes is what was written"
    assert SimRobot(contract, "pick_place").joint_states("arm").position.shape == (7,)


@pytest.mark.parametrize(
    ("urdf", "words"),
    [
        ("./none.urdf", "no such file; allowed: a path"),
        ("none.urdf", r"is unknown; allowed: \['vx300s.urdf'\], or a path"),
    ],
)
def test_a_urdf_that_is_not_there_is_named(urdf: str, words: str) -> None:
    with pytest.raises(VgilError, match=words):
        load_urdf(urdf)


@pytest.mark.parametrize("name", ["lab_wave", "lab_tasks:Wave"])
def test_a_task_and_its_operator_come_from_outside(lab: Path, name: str) -> None:
    contract, _ = load_contract(str(lab / "mine.yaml"))
    robot = SimRobot(contract, name)
    operator = make_operator(robot)
    assert type(operator).__name__ == "Waver"
    assert operator.masters()["arm"].shape == (7,)
    robot.step(0.1)
    assert (robot.success(), robot.objects()) == (True, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "import lab_tasks\n\nlab_tasks.Wave.speed / 2\n",
            "AttributeError: .*speed.* \\(.*bad_lab.py, line 3\\); allowed:",
        ),
        ("x = {}\nx['arm']\n", "cannot be loaded: KeyError: 'arm' \\(.*bad_lab.py, line 2\\); allowed:"),
        (
            "raise RuntimeError('no licence\\nfound')\n",
            "cannot be loaded: RuntimeError: no licence found \\(.*line 1\\)",
        ),
        ("def f(:\n", "cannot be loaded: SyntaxError: .*bad_lab.py, line 1"),
        ("raise SystemExit(3)\n", "cannot be loaded: SystemExit: 3 \\(.*bad_lab.py, line 1\\)"),
    ],
)
@pytest.mark.parametrize("name", ["bad_lab:Task", "stumbles"])
def test_code_from_outside_that_stumbles_when_imported_is_named(lab: Path, name: str, text: str, words: str) -> None:
    (lab / "bad_lab.py").write_text(text)
    with (lab / "lab_package-1.0.dist-info" / "entry_points.txt").open("a") as points:
        points.write("stumbles = bad_lab:Task\n")
    with pytest.raises(PluginError, match=words.removesuffix("; allowed:") if name == "stumbles" else words):
        task_class(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Clumsy", r"'lab_tasks:Clumsy' cannot be made: KeyError: 'cube' \(.*lab_tasks.py, line \d+\)"),
        ("Crooked", r"'lab_tasks:Crooked' cannot be made: ZeroDivisionError: .* \(.*lab_tasks.py, line \d+\)"),
        ("Astray", r"'lab_tasks:Lost' cannot be made: AttributeError: .*nowhere.* \(.*lab_tasks.py, line \d+\)"),
    ],
)
def test_a_class_from_outside_that_stumbles_when_it_is_made_is_named(lab: Path, name: str, words: str) -> None:
    contract, _ = load_contract(str(lab / "mine.yaml"))
    with pytest.raises(PluginError, match=words):
        make_operator(SimRobot(contract, f"lab_tasks:{name}"))


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("wave", VgilError, r"task 'wave' is unknown; allowed: \['broken', 'lab_wave', 'other', 'pick_place'"),
        ("broken", PluginError, "entry point 'broken' of vgil_ros.tasks is 'lab_tasks:Missing': cannot be loaded"),
        ("other", PluginError, "allowed: a class derived from vgil_ros.robots.sim.tasks.base.Task"),
        ("lab_tasks:Missing", PluginError, "cannot be loaded: .*Missing.*; allowed: module:Class on PYTHONPATH"),
        ("nowhere:Wave", PluginError, "No module named 'nowhere'"),
        (":", PluginError, "cannot be loaded"),
    ],
)
def test_a_task_that_cannot_be_had_is_named(lab: Path, name: str, error: type[VgilError], words: str) -> None:
    with pytest.raises(error, match=words):
        task_class(name)


def test_demonstrations_of_an_outside_task_are_generated_from_its_folder(lab: Path) -> None:
    command = [sys.executable, "-m", "vgil_ros.cli.main", "episodes", "generate", "--task", "lab_tasks:Wave"]
    command += ["--robot", "mine.yaml", "--episodes", "1", "--out", "made"]
    environment = process_environment()
    done = subprocess.run(command, cwd=lab, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (lab / "made" / "episode_0.hdf5").is_file()


def test_a_camera_hangs_where_the_contract_says(lab: Path) -> None:
    place = {"position": [0.3, -0.6, 0.5], "look_at": [0.0, 0.0, 0.1], "fov": 40}
    robot = SimRobot(load_contract(str(changed(lab, name="mine", sim=place)))[0], "pick_place")
    camera = robot.model.camera("mine")
    np.testing.assert_allclose(robot.data.cam_xpos[camera.id], [0.3, -0.6, 0.5], atol=1e-6)
    looks = -robot.data.cam_xmat[camera.id].reshape(3, 3)[:, 2]
    way = np.array([-0.3, 0.6, -0.4])
    np.testing.assert_allclose(looks, way / np.linalg.norm(way), atol=1e-6)
    assert robot.model.cam_fovy[camera.id] == 40


def test_a_camera_may_sit_on_an_arm(lab: Path) -> None:
    place = {"position": [0.0, 0.0, 0.1], "look_at": [0.1, 0.0, 0.0], "arm": "arm"}
    robot = SimRobot(load_contract(str(changed(lab, name="mine", sim=place)))[0], "pick_place")
    assert robot.model.camera("mine").bodyid[0] == robot.model.body("arm/gripper_link").id


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ({"name": "mine"}, "camera 'mine' has no place in the simulator; allowed: a name with one of"),
        ({"sim": {"position": [0, 0, 1], "look_at": [0, 0, 1]}}, "position and look_at are both"),
        (
            {"sim": {"position": [0, 0, 1], "look_at": [0, 0, 0], "arm": "left"}},
            r"sim.arm is 'left'; allowed: one of \['arm'\]",
        ),
        ({"sim": {"position": [0, 0, 1], "look_at": [0, 0, 0], "fov": 200}}, "fov"),
    ],
)
def test_a_camera_without_a_place_or_with_a_wrong_one_is_named(lab: Path, camera: dict[str, Any], words: str) -> None:
    with pytest.raises(VgilError, match=words):
        SimRobot(load_contract(str(changed(lab, **camera)))[0], "pick_place")
