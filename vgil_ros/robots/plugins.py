"""Classes from outside of this package: by the entry points of an installed package, or as `module:Class`.

What their code raises, of whatever kind, is an error that names the class, the kind and the line.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from vgil_ros.core.errors import VgilError

T = TypeVar("T")


class PluginError(VgilError):
    """A class from outside that cannot be loaded, cannot be made, or is of another kind."""


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
        with outside_code(f"entry point '{name}' of {group} is '{points[0].value}': cannot be loaded"):
            found = points[0].load()
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"'{name}' is {found!r}; allowed: a class derived from {base.__module__}.{base.__qualname__}")
    return found


def search_here() -> str:
    """Have Python look in the working folder too, last: a console script looks in its own. Returns the folder."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return here


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    here = search_here()
    with outside_code(f"'{name}' cannot be loaded", f"; allowed: module:Class on PYTHONPATH or in {here}"):
        return getattr(importlib.import_module(module), attribute)


@contextlib.contextmanager
def making(made: type) -> Iterator[None]:
    """Guard the making of a class that may be from outside; this package's own raise what they raise.

    Raises:
        PluginError: in place of any exception that is not an error of ours.
    """
    if made.__module__.partition(".")[0] == __name__.partition(".")[0]:
        yield
        return
    with outside_code(f"'{made.__module__}:{made.__qualname__}' cannot be made"):
        yield


@contextlib.contextmanager
def outside_code(what: str, allowed: str = "") -> Iterator[None]:
    """What code from outside raises, in words; no list of exceptions is complete, and a script may end itself.

    Args:
        what: was done when it was raised; the reason follows it.
        allowed: stands behind the reason.

    Raises:
        PluginError: in place of any exception.
    """
    try:
        yield
    except VgilError as error:
        raise PluginError(f"{what}: {error}{allowed}") from error
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PluginError(f"{what}: {' '.join(why.split())}{_place(error)}{allowed}") from error


def _place(error: BaseException) -> str:
    """The line that raised it, where that is in a file other than this one and the import's own."""
    if isinstance(error, SyntaxError):  # its own words tell the line
        return ""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in (__file__, importlib.__file__)
        and not frame.filename.startswith("<frozen")
        and Path(frame.filename).parent.name != "metadata"
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
