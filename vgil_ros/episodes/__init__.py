"""Episode files: written while recording, read in any layout, checked, repaired, plotted, converted."""

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
