"""Episode files: written while recording, read in any layout, checked, repaired, plotted, converted.

Each name of `__all__` loads what it needs when it is first used: a list of files needs no images and no contract.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; at run time `__getattr__` finds the same
    from vgil_ros.episodes.errors import DiskFull, EpisodeError, Overrun, WriteFailed
    from vgil_ros.episodes.meta import CameraMeta, EpisodeMeta
    from vgil_ros.episodes.reader import EpisodeReader
    from vgil_ros.episodes.writer import EpisodeWriter

__all__ = [
    "CameraMeta",
    "DiskFull",
    "EpisodeError",
    "EpisodeMeta",
    "EpisodeReader",
    "EpisodeWriter",
    "Overrun",
    "WriteFailed",
]

_WHERE = {
    "CameraMeta": "meta",
    "DiskFull": "errors",
    "EpisodeError": "errors",
    "EpisodeMeta": "meta",
    "EpisodeReader": "reader",
    "EpisodeWriter": "writer",
    "Overrun": "errors",
    "WriteFailed": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'vgil_ros.episodes' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"vgil_ros.episodes.{_WHERE[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
