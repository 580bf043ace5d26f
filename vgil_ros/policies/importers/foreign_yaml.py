"""The YAML configuration of another project, with `${a.b}` filled in; nothing else of it is evaluated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from vgil_ros.policies.errors import CheckpointError

_DEPTH = 8  # a reference that leads to a reference ...


class ForeignYaml:
    """Values by dotted name."""

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            CheckpointError: it cannot be read, or is no mapping.
        """
        self.path = path
        try:
            self._tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        if not isinstance(self._tree, dict):
            raise CheckpointError(f"{path}: found a {type(self._tree).__name__}, allowed is a mapping")

    def get(self, name: str, default: object = None) -> Any:
        """Give the value called `name`, or `default` where there is none."""
        try:
            return self._at(name, 0)
        except KeyError:
            return default

    def need(self, name: str) -> Any:
        """Give the value called `name`.

        Raises:
            CheckpointError: there is none.
        """
        try:
            return self._at(name, 0)
        except KeyError:
            raise CheckpointError(f"{self.path}: {name} is missing") from None

    def _at(self, name: str, depth: int) -> Any:
        value: Any = self._tree
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise KeyError(name)
            value = self._filled(value[part], depth)
        return value

    def _filled(self, value: Any, depth: int) -> Any:
        asked = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        if asked is not None:
            if depth >= _DEPTH:
                raise CheckpointError(f"{self.path}: {value} leads in a circle")
            return self._at(asked[1], depth + 1)
        if isinstance(value, str) and "${" in value:
            raise CheckpointError(f"{self.path}: {value!r} would have to be computed: write the value there")
        return value
