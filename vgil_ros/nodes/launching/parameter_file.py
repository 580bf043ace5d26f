"""ROS' parameter files at launch: what one is checked for before any node starts, and one of the launch's own."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from vgil_ros.core.config import load_yaml
from vgil_ros.core.errors import VgilError

KEY = "ros__parameters"


class ParameterFile:
    """A file of node parameters: a section for each node, in it `ros__parameters`, in it names and values.

    Args:
        path: of a YAML file; `~` is the home folder.

    Raises:
        VgilError: where it cannot be read, goes beyond what a person would write, or is laid out otherwise.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser().absolute()
        try:
            content = load_yaml(self.path)
        except VgilError as error:
            raise VgilError(f"launch argument 'params_file' cannot be used: {error}") from error
        self._sections: dict[str, dict[str, Any]] = {}
        layout = f"allowed: 'NODE: {{{KEY}: {{NAME: VALUE, ...}}}}'"
        if not isinstance(content, Mapping) or not content:
            raise VgilError(f"{self.path}: holds no sections; {layout}")
        for node, section in content.items():
            if not isinstance(section, Mapping) or set(section) != {KEY} or not isinstance(section[KEY], Mapping):
                raise VgilError(f"{self.path}: section '{node}' is not laid out as ROS wants it; {layout}")
            self._sections[str(node)] = dict(section[KEY])

    def robot(self) -> str | None:
        """The robot that it names, None where it names none.

        Raises:
            VgilError: where it names several: the nodes of one launch share a robot.
        """
        robots = sorted({str(section["robot"]) for section in self._sections.values() if "robot" in section})
        if len(robots) > 1:
            raise VgilError(f"{self.path}: names the robots {robots}; allowed: one for all nodes of a launch")
        return robots[0] if robots else None

    def for_namespace(self, namespace: str) -> Path:
        """The file as nodes in a namespace read it: there `recorder` names none of them, but `/**/recorder` does."""
        if not namespace or all(section.startswith("/") for section in self._sections):
            return self.path
        found = {name if name.startswith("/") else f"/**/{name}": {KEY: v} for name, v in self._sections.items()}
        return _written(self.path.stem, found)

    def strangers(self, nodes: Collection[str]) -> list[str]:
        """Sections that are for none of these nodes: nobody reads them."""
        names = {section: section.rsplit("/", 1)[-1] for section in self._sections}
        return sorted(section for section, name in names.items() if name not in nodes and "*" not in name)


def write_overrides(node: str, values: Mapping[str, Any]) -> Path:
    """Write parameters that win over a file given before, to a temporary file, and return its path.

    They stand under the node's own name, in any namespace: of two sections that fit a node, rcl lets that of its name
    win over that of all nodes, whichever came last.
    """
    return _written(node, {f"/**/{node}": {KEY: dict(values)}})


def _written(stem: str, content: Mapping[str, Any]) -> Path:
    path = Path(tempfile.mkdtemp(prefix="vgil_params_")) / f"{stem}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path
