"""Imports point one way, core <- episodes, policies <- datasets, training, robots <- nodes, cli; never in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import vgil_ros

PACKAGE = Path(vgil_ros.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of the package, itself included. `assets` stands for the modules beside the folders.
# `api` stands for the front door: `vgil_ros/__init__.py`, whose imports are for type checkers alone, and `api.py`.
ROOT, FRONT = "assets", "api"
BELOW = {
    ROOT: {"core"},
    FRONT: {"core", "episodes", "policies", "robots", "training", "evaluation", "nodes", ROOT},
    "core": set(),
    "parallel": {"core", ROOT},
    "episodes": {"core", ROOT},
    "policies": {"core", ROOT},
    "datasets": {"core", "episodes", "parallel", ROOT},
    "robots": {"core", "episodes", "policies", "parallel", ROOT},
    "training": {"core", "episodes", "datasets", "policies", "parallel", ROOT},
    "evaluation": {"core", "episodes", "policies", "robots", "parallel", ROOT},
    "web": {"core", "parallel", "episodes", "datasets", "policies", "robots", "training", "evaluation", ROOT},
    "nodes": {"core", "episodes", "policies", "robots", "evaluation", "web", ROOT},
    "launch_shim": {"core"},
    "cli": {
        "core",
        "parallel",
        "episodes",
        "datasets",
        "policies",
        "robots",
        "training",
        "evaluation",
        "nodes",
        "web",
        "launch_shim",
        ROOT,
        FRONT,
    },
}
ROS = {
    "rclpy", "rcl_interfaces", "rpyutils", "ament_index_python", "launch", "launch_ros", "message_filters",
    "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "nav_msgs", "rosgraph_msgs", "sensor_msgs", "std_msgs",
    "std_srvs", "trajectory_msgs", "visualization_msgs", "interbotix_xs_msgs", "cv_bridge", "tf2_ros",
}  # fmt: skip
TORCH, FILES, IMAGES = {"torch", "torchvision"}, {"h5py"}, {"cv2"}
# What a part must not import from outside, at the top or within a function.
FOREIGN = {
    ROOT: ROS | TORCH | FILES | IMAGES | {"mujoco"},
    "core": ROS | TORCH | FILES | IMAGES | {"mujoco"},
    "parallel": ROS | TORCH | FILES | {"mujoco"},
    "episodes": ROS | TORCH | {"mujoco"},
    "datasets": ROS | TORCH | {"mujoco", "lerobot"},
    "policies": ROS | FILES | {"mujoco"},
    "training": ROS | {"mujoco"},
    "evaluation": ROS,
    "robots": ROS,
    "web": ROS | TORCH | {"mujoco"},
    "launch_shim": ROS | TORCH | FILES | IMAGES | {"mujoco", "numpy"},
}


MOST_FILES = 16  # in one folder


def module_name(path: Path) -> str:
    """The dotted name that a file is imported by."""
    words = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def part_of(path: Path) -> str:
    """The part that a file belongs to."""
    relative = path.relative_to(PACKAGE)
    if len(relative.parts) > 1:
        return relative.parts[0]
    return FRONT if relative.name in ("__init__.py", "api.py") else ROOT


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import anywhere in a file; `from a import b` gives a.b, as b may be a module."""
    package = ["vgil_ros", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def target(name: str) -> str | None:
    """The part of the package that an imported name lies in; None outside, and for the bare package."""
    words = name.split(".")
    if words[0] != "vgil_ros" or len(words) == 1:
        return None
    return words[1] if words[1] in BELOW and words[1] != ROOT else ROOT


def import_graph(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Which modules of the package each one imports: at its top, within functions, and for types alone.

    A package that is entered on the way to a module does not count as imported by name. Nor does what the front door
    hands out (`vgil_ros/__init__.py`): it names modules of every part, and loads none before it is asked for.
    """
    named = {module_name(path): path for path in paths}
    graph: dict[str, set[str]] = {}
    for own, path in named.items():
        given = [name for _, name in imports(path)] if own != PACKAGE.name else []
        found = {name if name in named else name.rpartition(".")[0] for name in given}
        graph[own] = found & set(named) - {own}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other: what is left in each set of mutual ancestors."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += graph[name]
        reached[start] = seen
    groups = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return sorted(sorted(group) for group in groups)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = import_graph(MODULES)
    assert sum(map(len, graph.values())) > 500, "imports are seen"
    assert circles(graph) == []


def crowded(folder: Path) -> dict[str, int]:
    """Folders with more Python files than one concept needs."""
    counts = Counter(str(path.parent.relative_to(folder)) for path in folder.rglob("*.py"))
    return {name: count for name, count in counts.items() if count > MOST_FILES}


def test_no_folder_is_crowded() -> None:
    assert crowded(PACKAGE) == {}


def test_every_folder_has_its_place() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(BELOW) - {ROOT, FRONT}
    assert len(MODULES) > 50


@pytest.mark.parametrize("part", BELOW)
def test_imports_point_down(part: str) -> None:
    allowed = BELOW[part] | {part}
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}; allowed: {sorted(allowed)}"
        for path in MODULES
        if part_of(path) == part
        for line, name in imports(path)
        if (found := target(name)) is not None and found not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", FOREIGN)
def test_parts_keep_to_their_libraries(part: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}"
        for path in MODULES
        if part_of(path) == part
        for line, name in imports(path)
        if name.split(".")[0] in FOREIGN[part]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rules_have_teeth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form of import is seen."""
    package = tmp_path / "vgil_ros"
    (package / "core" / "sync").mkdir(parents=True)
    file = package / "core" / "sync" / "x.py"
    file.write_text(
        "import vgil_ros.nodes.sim\nfrom vgil_ros import cli, assets\nfrom ...episodes import reader\n"
        "from . import y\ndef f():\n    from vgil_ros.policies.act import model\n    import rclpy.node as n\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)
    names = [name for _, name in sorted(imports(file))]
    assert [target(name) for name in names] == ["nodes", ROOT, "cli", "episodes", "core", "policies", None]
    assert names[-1].split(".")[0] in FOREIGN["core"]


def test_circles_have_teeth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two modules, three, one through a function, one through types alone; not two that merely share a third."""
    package = tmp_path / "vgil_ros"
    files = {
        "__init__": "from vgil_ros.core import a\n",
        "core/__init__": "",
        "core/a": "import vgil_ros\nfrom vgil_ros.core import b\n",
        "core/b": "def f():\n    from vgil_ros.core.a import x\n",
        "core/c": "from vgil_ros.core import shared\nfrom .d import x\n",
        "core/d": "import vgil_ros.core.e, vgil_ros.core.shared\n",
        "core/e": "if TYPE_CHECKING:\n    from vgil_ros.core.c import C\n",
        "core/shared": "import numpy\n",
    }
    for name, text in files.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)
    found = circles(import_graph(package.rglob("*.py")))
    assert found == [["vgil_ros.core.a", "vgil_ros.core.b"], [f"vgil_ros.core.{name}" for name in "cde"]]


def test_crowds_have_teeth(tmp_path: Path) -> None:
    (tmp_path / "deep" / "full").mkdir(parents=True)
    for number in range(MOST_FILES):
        (tmp_path / "deep" / "full" / f"m{number}.py").touch()
    assert crowded(tmp_path) == {}
    (tmp_path / "deep" / "full" / "one_more.py").touch()
    assert crowded(tmp_path) == {"deep/full": MOST_FILES + 1}


BLOCKED = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (it is absent here)", name=name)

sys.meta_path.insert(0, Absent())
for part in {parts!r}:
    package = importlib.import_module("vgil_ros." + part)
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
        importlib.import_module(found.name)
print(len([name for name in sys.modules if name.startswith("vgil_ros.")]))
"""


def load(parts: list[str], blocked: set[str]) -> int:
    """Import every module of these parts in a fresh interpreter that lacks some libraries; returns how many."""
    script = BLOCKED.format(blocked=sorted(blocked), parts=parts)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_core_loads_without_ros_torch_h5py_and_opencv() -> None:
    assert load(["core", ROOT], ROS | TORCH | FILES | IMAGES | {"mujoco"}) > 20


def test_episodes_load_without_ros_and_torch() -> None:
    assert load(["episodes"], ROS | TORCH) > 20


def test_policies_load_without_ros_and_h5py() -> None:
    pytest.importorskip("torch")
    assert load(["policies"], ROS | FILES) > 20


def test_training_loads_without_ros() -> None:
    for module in ("torch", "mujoco"):
        pytest.importorskip(module)
    assert load(["core", "policies", "training", "evaluation"], ROS) > 40


def test_the_blocker_blocks() -> None:
    with pytest.raises(AssertionError, match="No module named 'numpy'"):
        load(["core"], {"numpy"})
