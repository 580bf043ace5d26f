"""`import vgil_ros`: cheap, complete, typed, and clear about what is not installed."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

import vgil_ros
from vgil_ros.core.errors import ContractError, VgilError
from vgil_ros.extras import EXTRA_OF

HEAVY = ("numpy", "torch", "rclpy", "h5py", "cv2", "mujoco", "pydantic", "yaml", "dm_env", "typer")
SOURCE = Path(vgil_ros.__file__)
SETUP = SOURCE.parent.parent / "setup.py"

ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import vgil_ros
try:
    {use}
except ImportError as error:
    print(type(error).__name__, error)
"""


NEEDS = {"PolicyRunner": "torch", "load_policy": "torch", "RosEnvironment": "rclpy"}


def python(script: str) -> str:
    """The output of a script in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_loads_nothing() -> None:
    script = f"import vgil_ros, sys; dir(vgil_ros); print([name for name in {HEAVY} if name in sys.modules])"
    assert python(script) == "[]"


@pytest.mark.parametrize("name", vgil_ros.__all__)
def test_each_name_is_there(name: str) -> None:
    assert name in dir(vgil_ros)
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    assert callable(getattr(vgil_ros, name))
    assert getattr(vgil_ros, name) is vars(vgil_ros)[name], "found once, then kept"


def test_episodes_are_read_without_torch_and_ros() -> None:
    script = "import vgil_ros, sys; vgil_ros.EpisodeReader; vgil_ros.load_robot('sim_single').layout"
    assert python(f"{script}; print([n for n in ('torch', 'rclpy', 'mujoco') if n in sys.modules])") == "[]"


def test_type_checkers_are_told_what_is_found_at_run_time() -> None:
    [block] = [
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    typed = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == vgil_ros._WHERE
    assert sorted(typed) == vgil_ros.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'vgil_ros' has no attribute 'load_robots'"):
        vgil_ros.load_robots  # noqa: B018 - the look-up is what is tested


@pytest.mark.parametrize(
    ("missing", "use", "extra"),
    [
        ("torch", "vgil_ros.load_policy", "policy"),
        ("safetensors", "vgil_ros.load_policy", "policy"),
        ("torch", "vgil_ros.PolicyRunner", "policy"),
        ("torch", "vgil_ros.train('data', 'out')", "policy"),
        ("torch", "vgil_ros.evaluate('sim_pick_place_act')", "policy"),
        ("mujoco", "vgil_ros.evaluate('sim_pick_place_act')", "sim"),
        ("rclpy", "vgil_ros.RosEnvironment", "ros"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(missing: str, use: str, extra: str) -> None:
    if missing in ("safetensors", "mujoco"):
        pytest.importorskip("torch")  # it is asked for first
    said = python(ABSENT.format(missing=missing, use=use))
    assert said.startswith(f"MissingDependency {use.partition('(')[0]} needs {missing}, which is not installed")
    assert said.endswith(f"pip install 'vgil_ros[{extra}]'")
    assert ("source a ROS 2 installation" in said) == (extra == "ros")


def test_what_no_extra_installs_is_told_as_python_does() -> None:
    assert python(ABSENT.format(missing="h5py", use="vgil_ros.EpisodeReader")) == (
        "ModuleNotFoundError No module named 'h5py'"
    )


def test_extras_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", lambda **arguments: handed.update(arguments))
    monkeypatch.chdir(SETUP.parent)
    spec = importlib.util.spec_from_file_location("the_setup", SETUP)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    for module, extra in EXTRA_OF.items():
        names = [re.split(r"[\[<>=]", one)[0].removeprefix("ros-") for one in handed["extras_require"][extra]]
        brought = module in ("builtin_interfaces", "numcodecs")  # of every message package, and of zarr
        assert brought or {module.replace("_", "-"), module, f"py{module}"} & {*names}, f"{module} is not in [{extra}]"


def test_a_robot_by_name_and_by_path(tmp_path: Path) -> None:
    robot = vgil_ros.load_robot("sim_single")
    assert robot.name == "sim_single"
    assert robot.layout.joint_names[0] == "arm/waist"
    assert [stream.name for stream in robot.streams] == ["arm/puppet", "arm/master", "cam_high", "cam_wrist"]
    file = tmp_path / "mine.yaml"
    file.write_text(robot.text)
    assert vgil_ros.load_robot(file).contract == robot.contract
    with pytest.raises(FrozenInstanceError):
        robot.text = ""  # type: ignore[misc]
    with pytest.raises(ContractError, match=r"'sim_singel' is unknown; allowed: .*'sim_single'"):
        vgil_ros.load_robot("sim_singel")


def test_a_rollout_task_that_there_is_not_is_told_before_training(tmp_path: Path) -> None:
    for module in ("torch", "mujoco"):
        pytest.importorskip(module)
    with pytest.raises(VgilError, match="juggle"):
        vgil_ros.train(tmp_path, tmp_path / "run", "act_small", settings={"evaluation.task": "juggle"})
    assert not (tmp_path / "run").exists()
