"""One image of an episode: what its cameras saw, how joints followed their actions, how far streams were off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.streams import Flag
from vgil_ros.episodes.reader import EpisodeReader

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACTION, STATE, HELD, GRID = "#d95f0e", "#1f4e79", "#c0392b", "#e4e7eb"
COLUMNS = 4  # panels of joints side by side


def plot_episode(episode: EpisodeReader, out: Path) -> Path:
    """Draw first, middle and last image of each camera, qpos against action for each joint, and skew, as PNG.

    Raises:
        VgilError: where matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise VgilError("plots need matplotlib: pip install 'vgil_ros[plot]'") from error
    joints = -(-episode.qpos.shape[1] // COLUMNS)
    cameras = len(episode.camera_names)
    heights = [1.9 * cameras, 1.35 * joints, 2.2 if episode.skew_ns is not None else 0.0]
    figure = Figure(figsize=(13, sum(heights) + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    used = [height for height in heights if height]
    areas = iter(figure.subfigures(len(used), 1, height_ratios=used, squeeze=False).ravel())
    figure.suptitle(_title(episode), fontsize=12, fontweight="bold", x=0.01, ha="left")
    if cameras:
        _images(episode, next(areas))
    _joints(episode, next(areas), joints)
    if episode.skew_ns is not None:
        _skew(episode, next(areas).subplots())
    figure.savefig(out, dpi=110)
    return out


def _title(episode: EpisodeReader) -> str:
    parts = [episode.path.name, episode.robot or episode.layout, episode.task, f"{episode.rows} rows"]
    if episode.seconds:
        parts.append(f"{episode.seconds:.1f} s at {episode.rate_hz:g} Hz")
    if episode.success is not None:
        parts.append("success" if episode.success else "failure")
    return "  ·  ".join(str(part) for part in parts if part)


def _images(episode: EpisodeReader, area: Any) -> None:
    rows = (0, episode.rows // 2, episode.rows - 1)
    panels = area.subplots(len(episode.camera_names), 3, squeeze=False)
    for line, name in zip(panels, episode.camera_names, strict=True):
        for axes, row in zip(line, rows, strict=True):
            axes.imshow(episode.image(name, row))
            axes.set_title(f"{name}, row {row}", fontsize=8, color="#444444")
            axes.set_axis_off()


def _joints(episode: EpisodeReader, area: Any, lines: int) -> None:
    panels = area.subplots(lines, COLUMNS, squeeze=False, sharex=True).ravel()
    names = episode.joint_names or tuple(f"column {i}" for i in range(episode.qpos.shape[1]))
    time = _time(episode)
    for i, axes in enumerate(panels):
        if i >= len(names):
            axes.set_axis_off()
            continue
        if i < episode.action.shape[1]:
            axes.plot(time, episode.action[: len(time), i], color=ACTION, linewidth=1.0, label="action")
        axes.plot(time, episode.qpos[: len(time), i], color=STATE, linewidth=1.0, label="qpos")
        axes.set_title(names[i], fontsize=8, color="#444444")
        _clean(axes)
    panels[0].legend(fontsize=7, frameon=False, loc="best")
    area.supxlabel(_time_label(episode), fontsize=8)


def _skew(episode: EpisodeReader, axes: Axes) -> None:
    time, skew, flags = _time(episode), episode.skew_ns, episode.flags
    if skew is None or flags is None:
        return
    for i, name in enumerate(episode.streams):
        axes.plot(time, skew[: len(time), i] / 1e6, linewidth=0.8, label=name)
        held = np.flatnonzero(flags[: len(time), i] & Flag.HELD)
        axes.plot(time[held], skew[held, i] / 1e6, "x", color=HELD, markersize=4)
    axes.set_ylabel("skew, ms", fontsize=8)
    axes.set_xlabel(_time_label(episode), fontsize=8)
    axes.set_title("sample's stamp minus tick (crosses: held)", fontsize=8, color="#444444")
    if episode.streams:
        axes.legend(fontsize=7, frameon=False, ncol=max(1, len(episode.streams) // 2), loc="upper right")
    _clean(axes)


def _time(episode: EpisodeReader) -> np.ndarray:
    if episode.stamp_ns is not None and episode.rows:
        result: np.ndarray = (episode.stamp_ns - episode.stamp_ns[0])[: episode.rows] / 1e9
        return result
    return np.arange(episode.rows) / (episode.rate_hz or 1.0)


def _time_label(episode: EpisodeReader) -> str:
    return "time, s" if episode.rate_hz else "row"


def _clean(axes: Axes) -> None:
    axes.tick_params(labelsize=7)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
