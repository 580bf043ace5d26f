"""`vgil train`: from episodes to a checkpoint. Torch is loaded only when needed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgil_ros.cli.options import Overrides, need_torch
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError

if TYPE_CHECKING:
    from vgil_ros.training.config import TrainConfig


FREE = (  # what may be given with --resume
    "steps", "device", "precision", "data.folders", "data.skip_bad", "data.accept_odd", "data.aborted", "data.workers",
    "data.decoded_gib", "data.flow_workers", "data.flow_ray", "gradient_accumulation", "distillation.cache",
    "frozen_cache", "log.tensorboard", "log.wandb_project",
)  # fmt: skip
Config = Annotated[str | None, typer.Option(help="a YAML file, or a name in config/policies; act where left out")]
Data = Annotated[
    list[Path] | None, typer.Option(help="a folder of episodes, or a LeRobotDataset; several times for several")
]
PolicyKind = Annotated[
    str | None, typer.Option(help="kind of policy: its file in config/policies, where --config is left out")
]
Teacher = Annotated[
    Path | None,
    typer.Option(help="a flow_matching or smolvla checkpoint whose paths are to be straightened; see policy.steps"),
]
Out = Annotated[Path | None, typer.Option(help="the run's folder")]
Resume = Annotated[
    Path | None, typer.Option(help="go on with a run; --steps for longer, --data where its data was moved")
]
BatchSize = Annotated[int | None, typer.Option(help="of all processes together")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N")]
FlowWorkers = Annotated[
    int | None, typer.Option("--workers", min=1, help="processes that compute optical flow, where the policy takes it")
]
FlowRay = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="the Ray cluster that does so: auto, HOST:PORT or ray://HOST:10001"),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="train without episodes that are broken or odd")]


def train(
    overrides: Overrides = None,
    config: Config = None,
    data: Data = None,
    policy: PolicyKind = None,
    teacher: Teacher = None,
    out: Out = None,
    resume: Resume = None,
    steps: int | None = None,
    batch_size: BatchSize = None,
    device: Device = None,
    seed: int | None = None,
    skip_bad: SkipBad = False,
    workers: FlowWorkers = None,
    ray: FlowRay = None,
    json: JsonFile = None,
) -> None:
    """Train a policy. For several processes: torchrun --nproc-per-node N -m vgil_ros.cli.main train ..."""
    need_torch("training")
    from vgil_ros.api import rollouts_of
    from vgil_ros.training.checkpoints import alone_in
    from vgil_ros.training.trainer import Trainer

    values = {
        "data.folders": [str(folder) for folder in data] if data else None,
        "policy.type": policy if config else None,
        "distillation.teacher": str(teacher) if teacher else None,
        "out": str(out) if out else None,
        "steps": steps,
        "batch_size": batch_size,
        "device": device,
        "seed": seed,
        "data.skip_bad": skip_bad or None,
        "data.flow_workers": workers,
        "data.flow_ray": ray,
    }
    given = {key: value for key, value in values.items() if value is not None}
    if resume:
        settings = _resumed(resume, config or policy, given, overrides or [])
    else:
        settings = _fresh(config or policy or (_kind_of(teacher) if teacher else None), given, overrides or [])
    rollouts = rollouts_of(settings)
    with alone_in(settings.out):
        trainer = Trainer(settings, resume=resume is not None, evaluate=rollouts, log=typer.echo)
        try:
            result = trainer.run()
        finally:
            trainer.close()
    if trainer.accelerator.rank == 0:
        _tell(asdict(result), settings)
        write_json(json, asdict(result))


def _fresh(config: str | None, given: dict[str, Any], overrides: list[str]) -> TrainConfig:
    from vgil_ros.training.config import load_config

    return load_config(config or "act", overrides, given, {"data.folders": "--data FOLDER", "out": "--out FOLDER"})


def _kind_of(teacher: Path) -> str:
    from vgil_ros.assets import checkpoint_path
    from vgil_ros.policies.checkpoint import read_config

    return read_config(checkpoint_path(teacher.expanduser())).type


def _resumed(folder: Path, config: str | None, given: dict[str, Any], overrides: list[str]) -> TrainConfig:
    """The run's own configuration; what does not change its course may be given anew, and where its data lies."""
    from vgil_ros.training.config import load_config
    from vgil_ros.training.run_log import CONFIG

    keys = [*given, *(text.partition("=")[0] for text in overrides), *(["--config"] if config else [])]
    refused = [key for key in keys if key not in FREE]
    if refused:
        raise VgilError(f"--resume goes on as before: {', '.join(refused)} cannot be given; allowed: {list(FREE)}")
    if not (folder / CONFIG).is_file():
        raise VgilError(f"--resume {folder}: holds no {CONFIG}; a run's folder is needed")
    before = load_config(folder / CONFIG, [], {"out": str(folder)})
    if "data.folders" in given:
        given = {**given, "data.folders": _moved(given["data.folders"], before)}
    settings = load_config(folder / CONFIG, overrides, {**given, "out": str(folder)})
    if settings.steps < before.steps:
        raise VgilError(
            f"--resume {folder}: steps is {settings.steps}; allowed: {before.steps}, which the run has, or more"
        )
    if settings.steps > before.steps and settings.schedule.kind == "cosine":
        typer.echo(
            f"note: {settings.steps} steps in place of {before.steps}: the cosine of the learning rate is stretched "
            "over them, so that it rises again from where it had come down to"
        )
    return settings


def _moved(folders: list[str], before: TrainConfig) -> list[Any]:
    """The folders of a run whose data lie elsewhere now, each with the weight that it had."""
    weights = [folder.weight for folder in before.data.folders]
    if not any(weights):
        return list(folders)
    if len(folders) != len(weights):
        raise VgilError(
            f"--data: {len(folders)} folders; the run has {len(weights)}, each with a weight; allowed: as many"
        )
    return [{"path": folder, "weight": weight} for folder, weight in zip(folders, weights, strict=True)]


def _tell(result: dict[str, Any], settings: TrainConfig) -> None:
    loss = "" if result["loss"] is None else f", loss {result['loss']:.4f}"
    typer.echo(
        f"{result['steps']} steps in {result['seconds']:.0f} s{loss}; {result['samples_per_s']:.1f} samples/s, "
        f"{result['data_wait']:.1%} of the time waiting for data"
    )
    if result["best"] is not None:
        typer.echo(f"best {settings.checkpoint.metric}: {result['best']:.4f}, in {settings.out / 'best'}")
    typer.echo(f"last checkpoint: {settings.out / 'last'}")
