"""What `vgil checkpoint import` calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vgil_ros.policies.config import CameraSpec, PolicyConfig
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.act_original import import_act
from vgil_ros.policies.importers.lerobot import import_lerobot


@dataclass(frozen=True)
class ImportReport:
    """What was imported: where to, from which format, keys left out on purpose, and what the source did not tell."""

    directory: Path
    source_format: str
    config: PolicyConfig
    dropped: tuple[str, ...]
    assumed: tuple[str, ...]


def import_checkpoint(
    source: str | Path,
    out: str | Path,
    *,
    stats: str | Path | None = None,
    cameras: Sequence[str] | None = None,
    heads: int = 8,
    image_sizes: Mapping[str, tuple[int, int]] | None = None,
    joint_names: Sequence[str] = (),
    rate_hz: float | None = None,
) -> ImportReport:
    """Make a checkpoint folder from a `.ckpt` file (act, act-plus-plus, Cobot Magic) or a LeRobot folder.

    Args:
        out: the folder to write.
        stats: pickled statistics of a `.ckpt`; `dataset_stats.pkl` beside it by default.
        cameras: names in the order of training. A `.ckpt` does not tell; a LeRobot folder does, and must agree.
        heads: attention heads of a `.ckpt`; a LeRobot folder tells its own.
        image_sizes: camera -> (height, width), of a `.ckpt`; unknown where not given.
        joint_names: flat, in the order of qpos; rate_hz: of the training data. Neither format tells.

    Raises:
        CheckpointError: anything missing, unknown, mismatched or unsafe; nothing is written then.
    """
    path = Path(source)
    if not path.exists():
        raise CheckpointError(f"{path} does not exist")
    if path.is_dir():
        if stats is not None or image_sizes:
            raise CheckpointError(f"{path}: a LeRobot folder has its own statistics and picture sizes: leave them out")
        imported = import_lerobot(path, joint_names, rate_hz)
        found = imported.policy.config.camera_names
        if cameras is not None and tuple(cameras) != found:
            raise CheckpointError(f"{path}: its cameras are {list(found)}, named were {list(cameras)}")
    else:
        specs = _cameras(cameras or (), image_sizes or {})
        imported = import_act(path, specs, Path(stats) if stats is not None else None, heads, joint_names, rate_hz)
    directory = imported.policy.save(out)
    return ImportReport(directory, imported.source_format, imported.policy.config, imported.dropped, imported.assumed)


def _cameras(names: Sequence[str], sizes: Mapping[str, tuple[int, int]]) -> list[CameraSpec]:
    unknown = [name for name in sizes if name not in names]
    if unknown:
        raise CheckpointError(f"sizes of unknown cameras {unknown}, named are {list(names)}")
    return [
        CameraSpec(name=name, height=sizes[name][0], width=sizes[name][1]) if name in sizes else CameraSpec(name=name)
        for name in names
    ]
