"""Where a run's numbers go: the log file, curves, TensorBoard, wandb, and the bar."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from vgil_ros.training.config import TrainConfig
from vgil_ros.training.logging_curves import draw_curves
from vgil_ros.training.logging_jsonl import JsonLines, Record, read_log
from vgil_ros.training.logging_services import open_services

LOG, CURVES = "log.jsonl", "curves.png"


class RunLog:
    """Takes records in the first process; does nothing in the others."""

    def __init__(self, config: TrainConfig, step: int, *, first: bool, progress: bool) -> None:
        """Open everything at `step`, the steps that are done."""
        self._out, self._first = config.out, first
        self._bar: Any = tqdm(
            total=config.steps, initial=step, desc="train", unit="step", disable=not (first and progress)
        )
        if first:
            self._services, self._close = open_services(config, config.out)
            self._lines = JsonLines(config.out / LOG, after=step)

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
            shown = {f"{record['kind']} loss": f"{record['loss']:.4f}"}
            if record.get("data_wait") is not None:
                shown["waits for data"] = f"{record['data_wait']:.0%}"
            self._bar.set_postfix(shown)

    def draw(self) -> None:
        """Draw the curves anew."""
        if self._first:
            draw_curves(read_log(self._out / LOG), self._out / CURVES)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._first:
            tqdm.write(text)

    def close(self) -> None:
        """Close everything."""
        self._bar.close()
        if self._first:
            self._lines.close()
            self._close()
