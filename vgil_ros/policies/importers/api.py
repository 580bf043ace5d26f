"""Import of foreign checkpoints, as `vgil checkpoint import` calls it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vgil_ros.policies.config import CameraSpec, PolicyConfig
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.act_original import import_act
from vgil_ros.policies.importers.act_plus_plus_diffusion import import_act_plus_plus_diffusion, is_diffusion
from vgil_ros.policies.importers.diffusion_policy_original import import_diffusion_policy
from vgil_ros.policies.importers.lerobot import import_lerobot
from vgil_ros.policies.importers.state import Imported, read_weights


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
    horizon: int | None = None,
    config: str | Path | None = None,
    vlm: str | Path | None = None,
    scaled: bool = True,
    image_sizes: Mapping[str, tuple[int, int]] | None = None,
    joint_names: Sequence[str] = (),
    rate_hz: float | None = None,
    assumed: Collection[str] = (),
) -> ImportReport:
    """Make a checkpoint folder from a `.ckpt` file or a LeRobot folder.

    A `.ckpt` may be ACT's (act, act-plus-plus, Cobot Magic), act-plus-plus's diffusion, or Diffusion Policy's own.

    Args:
        out: the folder to write.
        stats: pickled statistics of a `.ckpt`; `dataset_stats.pkl` beside it by default.
        cameras: names in the order of training. A `.ckpt` does not tell; where a source does, they must agree.
        heads: attention heads of an ACT `.ckpt`; a LeRobot folder tells its own.
        horizon: actions of a chunk of act-plus-plus's diffusion.
        config: the YAML that a `.ckpt` of Diffusion Policy was trained with; says that it is one.
        vlm: of LeRobot's SmolVLA: the folder of its vision-language model, for its config.json and tokenizer.json.
        scaled: of LeRobot's SmolVLA: False leaves its statistics out; it is then for `initial` of a training alone.
        image_sizes: camera -> (height, width), of a `.ckpt`; unknown where not given.
        joint_names: flat, in the order of qpos; rate_hz: of the training data. No format tells.
        assumed: which of "joint_names" and "rate_hz" are a robot's, not known of the training data; the checkpoint
            keeps that, and whoever holds it against a robot says so.

    Raises:
        CheckpointError: anything missing, unknown, mismatched or unsafe; nothing is written then.
    """
    path = Path(source)
    if not path.exists():
        raise CheckpointError(f"{path} does not exist")
    robot: dict[str, object] = {
        "joint_names": tuple(joint_names),
        "rate_hz": rate_hz,
        "assumed": tuple(name for name in ("joint_names", "rate_hz") if name in assumed),
    }
    with _as_it_seems(path):
        imported = _import(
            path,
            robot,
            stats=Path(stats) if stats is not None else None,
            cameras=cameras,
            heads=heads,
            horizon=horizon,
            config=Path(config) if config is not None else None,
            vlm=Path(vlm) if vlm is not None else None,
            scaled=scaled,
            image_sizes=image_sizes or {},
        )
    directory = imported.policy.save(out)
    return ImportReport(directory, imported.source_format, imported.policy.config, imported.dropped, imported.assumed)


@contextmanager
def _as_it_seems(path: Path) -> Iterator[None]:
    """What a foreign file holds in another form than its kind does is an error of the file."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: is not what it seems ({type(error).__name__}: {words}); allowed: what its project wrote"
        ) from error


def _import(
    path: Path,
    robot: Mapping[str, object],
    *,
    stats: Path | None,
    cameras: Sequence[str] | None,
    heads: int,
    horizon: int | None,
    config: Path | None,
    vlm: Path | None,
    scaled: bool,
    image_sizes: Mapping[str, tuple[int, int]],
) -> Imported:
    """See `import_checkpoint`."""
    if path.is_dir():
        if stats is not None or image_sizes or config is not None or horizon is not None:
            raise CheckpointError(
                f"{path}: a LeRobot folder has its own statistics, image sizes, horizon and configuration: "
                "leave them out"
            )
        imported = import_lerobot(path, robot, vlm, scaled=scaled)
        names = imported.policy.config.camera_names
        if cameras is not None and tuple(cameras) != names:
            raise CheckpointError(f"{path}: its cameras are {list(names)}, named were {list(cameras)}")
        return imported
    if vlm is not None or not scaled:
        raise CheckpointError(
            f"{path}: a vision-language model, or no statistics, are allowed of a LeRobot folder of type smolvla alone"
        )
    if config is not None:
        if stats is not None or horizon is not None:
            raise CheckpointError(f"{path}: with a configuration, statistics and horizon are known: leave them out")
        return import_diffusion_policy(path, config, cameras, robot)
    return _from_ckpt(path, _cameras(cameras or (), image_sizes), stats, heads, horizon, robot)


def _from_ckpt(
    path: Path,
    cameras: Sequence[CameraSpec],
    stats: Path | None,
    heads: int,
    horizon: int | None,
    robot: Mapping[str, object],
) -> Imported:
    """A `.ckpt` that holds weights alone."""
    try:
        content = read_weights(path)
    except CheckpointError as error:
        if "refused: it" not in str(error):
            raise
        raise CheckpointError(
            f"{error}. Where it is Diffusion Policy's, name the YAML of its configuration (--config); else save its "
            "weights alone: torch.save(policy.state_dict(), ...)"
        ) from error
    if isinstance(content, dict) and is_diffusion(content):
        return import_act_plus_plus_diffusion(path, content, cameras, stats, horizon, robot)
    if horizon is not None:
        raise CheckpointError(f"{path}: ACT's weights tell its chunk: leave the horizon out")
    return import_act(path, content, cameras, stats, heads, robot)


def _cameras(names: Sequence[str], sizes: Mapping[str, tuple[int, int]]) -> list[CameraSpec]:
    unknown = [name for name in sizes if name not in names]
    if unknown:
        raise CheckpointError(f"sizes of unknown cameras {unknown}, named are {list(names)}")
    return [
        CameraSpec(name=name, height=sizes[name][0], width=sizes[name][1]) if name in sizes else CameraSpec(name=name)
        for name in names
    ]
