"""Classes from outside of this package: by the entry points of an installed package, or as `module:Class`."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from vgil_ros.core.errors import VgilError

T = TypeVar("T")


class PluginError(VgilError):
    """A class from outside that cannot be loaded, or is of another kind."""


def plugin_names(group: str) -> list[str]:
    """Names that installed packages have for a group of entry points."""
    return sorted({point.name for point in entry_points(group=group)})


def load_plugin(group: str, name: str, base: type[T]) -> type[T] | None:
    """Return a class that is not this package's own; None where nothing has this name.

    Args:
        group: of the entry points.
        name: of an entry point; or `module:Class`, from what is installed, PYTHONPATH or the working folder.
        base: what the class must be derived from.

    Raises:
        PluginError: where it cannot be loaded, or is of another kind.
    """
    if ":" in name:
        found = _imported(name)
    else:
        points = [point for point in entry_points(group=group) if point.name == name]
        if not points:
            return None
        try:
            found = points[0].load()
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"entry point '{name}' of {group} is '{points[0].value}': cannot be loaded: {error}"
            ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"'{name}' is {found!r}; allowed: a class derived from {base.__module__}.{base.__qualname__}")
    return found


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # a console script has its own folder there, not the one that it is called in
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(
            f"'{name}' cannot be loaded: {error}; allowed: module:Class on PYTHONPATH or in {here}"
        ) from error
