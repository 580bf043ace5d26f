"""Log of a run's numbers: the log file, curves, TensorBoard, wandb, and the bar."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vgil_ros.core.files import write_whole
from vgil_ros.training.config import TrainConfig
from vgil_ros.training.errors import TrainingError

Record = dict[str, Any]
CONFIG, RESUME = "config.yaml", "resume.pt"  # of a run's folder, and what it goes on from
LOG, CURVES = "log.jsonl", "curves.png"


class JsonLines:
    """Appends records, each written through at once."""

    def __init__(self, path: Path, *, after: int) -> None:
        """Open a log and take off the records of steps beyond `after`, which will come again, and a half last line."""
        kept = [record for record in read_log(path) if record["step"] <= after] if path.exists() else []
        write_whole(path, "".join(map(_line, kept)))
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Record) -> None:
        """Append a record; numbers that are not finite become null."""
        self._file.write(_line(record))
        self._file.flush()

    def close(self) -> None:
        """Bring all to the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            with suppress(OSError):  # what a full disk did not take is given up
                self._file.close()


def read_log(path: Path) -> list[Record]:
    """Records of a log; a last line that a killed run left half is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def time_words(seconds: float) -> str:
    """A time in words, as "3 h 20 min"."""
    for unit, size, smaller, small in (("weeks", 604800, "days", 86400), ("days", 86400, "h", 3600)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} {seconds % size // small:.0f} {smaller}"
    if seconds >= 3600:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _line(record: Record) -> str:
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    return json.dumps(plain) + "\n"


Service = Callable[[Record], None]


def open_services(config: TrainConfig, out: Path, step: int = 0) -> tuple[list[Service], Callable[[], None]]:
    """Return (what takes each record, what closes them) of a run that has done `step` steps.

    Raises:
        TrainingError: a wandb project is named and wandb is not installed.
    """
    services: list[Service] = []
    closers: list[Callable[[], Any]] = []
    if config.log.tensorboard and (board := _board(out, step)) is not None:
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


def _board(out: Path, step: int) -> Any:
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        return None
    # what a run that was killed had shown beyond its last checkpoint comes again
    return module.SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)


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


# what has a scale of its own, or a panel
SKIPPED = {"kind", "step", "epoch", "seconds", "grad_norm", "lr", "lr_backbone", "samples_per_s", "data_wait", "return"}


def draw_curves(records: list[Record], path: Path) -> bool:
    """Draw a log's records; False where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    loss, parts, rate, speed = figure.subplots(2, 2).flat
    for axes, kinds, keys, title in (
        (loss, ("train", "validation"), {"loss"}, "loss"),
        (parts, ("train", "validation", "rollouts"), _parts(records), "its parts, and success of rollouts"),
        (rate, ("train",), {"lr", "lr_backbone"}, "learning rate"),
        (speed, ("train",), {"samples_per_s"}, "samples a second"),
    ):
        for kind in kinds:
            for key in sorted(keys):
                points = [(r["step"], r[key]) for r in records if r["kind"] == kind and r.get(key) is not None]
                if points:
                    axes.plot(*zip(*points, strict=True), label=f"{kind} {key}", marker="." if kind != "train" else "")
        axes.set_title(title)
        axes.set_xlabel("step")
        if axes.lines:
            axes.legend(fontsize="small")
        if axes is loss and axes.lines:
            axes.set_yscale("log")
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=90)
    part.replace(path)
    return True


def _parts(records: list[Record]) -> set[str]:
    return {key for record in records for key in record} - SKIPPED - {"loss"}


class RunLog:
    """Takes records in the first process; does nothing in the others."""

    def __init__(
        self, config: TrainConfig, step: int, *, first: bool, progress: bool, log: Callable[[str], None] = print
    ) -> None:
        """Open everything at `step`, the steps that are done; `log` takes each line of text."""
        self._out, self._first, self._log = config.out, first, log
        if first:  # what may fail does so before there is a bar in the way of its words
            self._services, self._close = open_services(config, config.out, step)
            self._lines = JsonLines(config.out / LOG, after=step)
        self._bar: Any = tqdm(
            total=config.steps, initial=step, desc="train", unit="step", disable=not (first and progress)
        )

    def step(self) -> None:
        """One step is done."""
        self._bar.update()

    def write(self, record: Record) -> None:
        """Take a record: `kind`, `step` and numbers."""
        if not self._first:
            return
        self._lines.write(record)
        for service in self._services:
            service(record)
        if record.get("loss") is not None:
            postfix = {f"{record['kind']} loss": f"{record['loss']:.4f}"}
            if record.get("data_wait") is not None:
                postfix["waits for data"] = f"{record['data_wait']:.0%}"
            self._bar.set_postfix(postfix)

    def draw(self) -> None:
        """Draw the curves anew."""
        if self._first:
            draw_curves(read_log(self._out / LOG), self._out / CURVES)

    def log(self, text: str) -> None:
        """Say a line, above the bar where there is one."""
        if self._first:
            with tqdm.external_write_mode():
                self._log(text)

    def close(self) -> None:
        """Close everything."""
        self._bar.close()
        if self._first:
            try:
                self._lines.close()
            finally:
                self._close()
