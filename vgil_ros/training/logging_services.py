"""TensorBoard and wandb, where they are installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vgil_ros.training.config import TrainConfig
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.logging_jsonl import Record

Service = Callable[[Record], None]


def open_services(config: TrainConfig, out: Path) -> tuple[list[Service], Callable[[], None]]:
    """Return (what takes each record, what closes them).

    Raises:
        TrainingError: a wandb project is named and wandb is not installed.
    """
    services: list[Service] = []
    closers: list[Callable[[], Any]] = []
    if config.log.tensorboard and (board := _board(out)) is not None:
        services.append(lambda record: _to_board(board, record))
        closers.append(board.close)
    if config.log.wandb_project is not None:
        wandb = _need_wandb()
        run = wandb.init(project=config.log.wandb_project, dir=str(out), config=config.model_dump(mode="json"))
        services.append(lambda record: run.log(_numbers(record), step=record["step"]))
        closers.append(run.finish)

    def close() -> None:
        for closer in closers:
            closer()

    return services, close


def _board(out: Path) -> Any:
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        return None
    return module.SummaryWriter(str(out / "tensorboard"))


def _to_board(board: Any, record: Record) -> None:
    for key, value in _numbers(record).items():
        board.add_scalar(key, value, record["step"])


def _need_wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise TrainingError("log.wandb_project is given, but wandb is not installed; pip install wandb") from error


def _numbers(record: Record) -> Record:
    return {f"{record['kind']}/{k}": v for k, v in record.items() if k not in ("kind", "step") and v is not None}
