"""Training and evaluation as Python calls: what `vgil train` and `vgil eval` do, without a command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgil_ros.assets import policy_source
from vgil_ros.evaluation.seeds import FIRST_UNSEEN
from vgil_ros.extras import needed_by

if TYPE_CHECKING:
    from vgil_ros.evaluation.metrics import Rollout
    from vgil_ros.evaluation.report import EvaluationReport
    from vgil_ros.training.config import TrainConfig
    from vgil_ros.training.trainer import Evaluate, TrainResult


def train(
    data: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    config: str | PathLike[str] = "act",
    *,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
    log: Callable[[str], None] = print,
) -> TrainResult:
    """Train a policy from episodes; checkpoints, log and curves go to a folder.

    Args:
        data: folders of episodes, or single files.
        out: the run's folder, which must hold no run. A run that was cut off goes on by `vgil train --resume`.
        config: a name in config/policies, or a path to a YAML file.
        settings: what differs from the configuration, by dotted key: {"steps": 2000, "device": "cuda",
            "optimizer.lr": 3e-5}.
        progress: show a bar.
        log: takes each line of text.

    Returns:
        The result; its `out` holds the checkpoints `best` and `last`.

    Raises:
        MissingDependency: torch is not installed.
        TrainingError: a setting or an episode is wrong, or the loss is not finite; it names which.
    """
    with needed_by("vgil_ros.train"):
        from vgil_ros.training.checkpoints import alone_in
        from vgil_ros.training.config import load_config
        from vgil_ros.training.trainer import Trainer
    folders = [data] if isinstance(data, (str, PathLike)) else list(data)
    given = {"data.folders": [str(folder) for folder in folders], "out": str(out), **(settings or {})}
    checked = load_config(Path(config) if isinstance(config, PathLike) else config, [], given)
    rollouts = rollouts_of(checked)
    with alone_in(checked.out):
        trainer = Trainer(checked, evaluate=rollouts, progress=progress, log=log)
        try:
            return trainer.run()
        finally:
            trainer.close()


def evaluate(
    checkpoint: str | PathLike[str],
    task: str = "pick_place",
    *,
    robot: str | None = None,
    episodes: int = 10,
    seed: int = FIRST_UNSEEN,
    videos: str | PathLike[str] | None = None,
    workers: int = 1,
    progress: Callable[[Rollout], None] = lambda rollout: None,
    **options: Any,
) -> EvaluationReport:
    """Roll a checkpoint out on the simulated robot, and report how often it succeeds, how fast and how smoothly.

    Args:
        checkpoint: a folder, the name of one that comes with the package, or a server's ws://HOST:PORT.
        task: the simulated task.
        robot: a contract's name or path; None takes the task's usual one.
        episodes, seed: rollouts of the scenes `seed`, `seed + 1`, ...
        videos: a folder for a video of each rollout and a sheet of thumbnails.
        workers: processes; the result does not depend on it.
        progress: called after each rollout.
        options: further fields of `vgil_ros.evaluation.plan.EvaluationPlan`, such as `execution`, `device`,
            `latency_ms`.

    Returns:
        The report, which `vgil eval --json` writes: `success_rate`, `success_interval_95`, `smoothness`, ...

    Raises:
        MissingDependency: torch or MuJoCo is not installed.
        VgilError: checkpoint, robot, task or an option cannot be used.
    """
    with needed_by("vgil_ros.evaluate"):
        from vgil_ros.evaluation import evaluate as evaluation
    plan = evaluation.EvaluationPlan(task=task, robot=robot, episodes=episodes, seed=seed, **options)
    folder = Path(videos) if videos is not None else None
    return evaluation.evaluate(
        plan, policy_source(os.fspath(checkpoint)), videos=folder, workers=workers, progress=progress
    )


def rollouts_of(config: TrainConfig) -> Evaluate | None:
    """What rolls a run's checkpoints out while it trains; None where the configuration names no task for it.

    Raises:
        VgilError: for a task that there is not, before anything is trained.
    """
    wanted = config.evaluation
    if wanted.task is None:
        return None
    with needed_by("evaluation.task"):
        from vgil_ros.evaluation import evaluate as evaluation
    plan = evaluation.EvaluationPlan(
        task=wanted.task, robot=wanted.robot, episodes=wanted.episodes, seed=wanted.seed, device=config.device
    )

    def run(checkpoint: Path) -> Mapping[str, float]:
        report = evaluation.evaluate(plan, checkpoint)
        return {"success": report.success_rate, "return": report.average_return}

    return run
