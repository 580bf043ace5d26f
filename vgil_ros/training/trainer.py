"""The training loop, one for all policies.

All that is random in a step follows from the seed and the step's number: which rows, how images are changed, and
torch's own generators (dropout, noise), which are seeded anew at each step. So a run that was cut off and resumed
computes what an unbroken one would, and nothing of a generator's state need be kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from tqdm import tqdm

from vgil_ros.training.build import load_data, make_policy
from vgil_ros.training.checkpoints import RESUME, Checkpoints, need_room, writing
from vgil_ros.training.config import DistillationConfig, TrainConfig
from vgil_ros.training.data.dataset import Batch, Loader
from vgil_ros.training.data.sampling import ProcessBatches
from vgil_ros.training.distillation import PairCache, Reflow, load_teacher, make_student, student_settings
from vgil_ros.training.distributed import Accelerator, make_accelerator
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.meters import DataTimer
from vgil_ros.training.optimization import TrainStep
from vgil_ros.training.run_log import RunLog
from vgil_ros.training.validation import Validation

CONFIG = "config.yaml"
Evaluate = Callable[[Path], Mapping[str, float]]


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        loss: mean of the last logged steps. best: value of the checkpoint metric, None where there was none.
        data_wait: share of the time in which the loop waited for data.
    """

    out: Path
    steps: int
    loss: float | None
    best: float | None
    samples_per_s: float
    data_wait: float
    seconds: float


class Trainer:
    """Trains a policy as a configuration says. Make it, then `run` it once."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        resume: bool = False,
        evaluate: Evaluate | None = None,
        progress: bool = True,
        log: Callable[[str], None] = print,
    ) -> None:
        """Check and load everything.

        Args:
            resume: go on from `config.out`; without it, `config.out` must hold no run.
            evaluate: rollouts of a checkpoint folder; gives "success" and other numbers for the log.

        Raises:
            TrainingError, PolicyError: see `load_data`, `make_policy`, `make_accelerator`.
        """
        self.config = config
        self.accelerator: Accelerator = make_accelerator(config.device)
        if config.batch_size % self.accelerator.processes:
            raise TrainingError(
                f"batch_size {config.batch_size} cannot be shared by {self.accelerator.processes} processes"
            )
        self._log, self._progress = (log, progress) if self.accelerator.rank == 0 else (_keep_quiet, False)
        _check_out(config.out, resume=resume)
        self._teach: Callable[[Batch], Batch] | None = None  # what a teacher adds to a batch
        self._reflow: Reflow | None = None  # the same, of the moment
        if config.distillation is None:
            self.data = load_data(config, self._log, progress=self._progress)
            self.policy = make_policy(config, self.data, self._log).to(self.accelerator.device)
        else:
            self._take_teacher(config.distillation)
        self.train_step = TrainStep(self.policy, config, self.accelerator, self._teach)
        self._validation = Validation(self.data.validation, config, self.accelerator, self._reflow)
        self._evaluate = evaluate
        by_success = config.checkpoint.metric == "success"
        self._checkpoints = Checkpoints(config.out, config.checkpoint.keep, higher_is_better=by_success)
        self.step = 0
        if resume:
            self._restore(self._checkpoints.load_state())

    def _take_teacher(self, settings: DistillationConfig) -> None:
        """Load the data as a teacher had them, its student, and what it teaches."""
        teacher = load_teacher(settings)
        merged = student_settings(self.config, teacher, self._log)
        self.data = load_data(merged, self._log, progress=self._progress)
        student = make_student(teacher, self.data.policy)
        self.policy = student.to(self.accelerator.device)
        self._teach = self._reflow = Reflow(teacher.to(self.accelerator.device), student.config.steps)
        if settings.cache is None:
            return
        pairs = PairCache(settings.cache.expanduser(), self.data.train, self._reflow, settings.draws)
        if self.accelerator.rank == 0 and not pairs.complete:
            pairs.build(lambda parts: tqdm(parts, "teacher", delay=2, leave=False, disable=not self._progress))
        self.accelerator.wait()
        self._teach = pairs

    def run(self) -> TrainResult:
        """Train to the last step.

        Raises:
            TrainingError: the loss is not finite, or the disk is full; what was saved before stands.
            EpisodeError: an episode can no longer be read.
        """
        config, accelerator = self.config, self.accelerator
        if accelerator.rank == 0:
            self._prepare_out()
        accelerator.wait()
        run_log = RunLog(config, self.step, first=accelerator.rank == 0, progress=self._progress)
        timer, began, last = DataTimer(), self.step, None
        try:
            batches = iter(self._loader())
            while self.step < config.steps:
                since = time.perf_counter()
                batch = next(batches)
                timer.waited(since)
                last = self._turn(batch, run_log, timer) or last
        except KeyboardInterrupt:
            run_log.log(f"stopped at step {self.step}; go on with: vgil train --resume {config.out}")
            raise
        finally:
            run_log.close()
            self.data.train.close()
            self.data.validation.close()
        rate = (self.step - began) * config.batch_size / max(timer.seconds, 1e-9)
        best = self._checkpoints.ranked[0][0] if self._checkpoints.ranked else None
        return TrainResult(config.out, self.step, last, best, rate, timer.share, timer.seconds)

    def close(self) -> None:
        """Part from the other processes."""
        self.accelerator.close()

    def _loader(self) -> Loader:
        config, accelerator = self.config, self.accelerator
        batches = ProcessBatches(
            self.data.sampling, config.batch_size, self.step, config.steps, accelerator.rank, accelerator.processes
        )
        return Loader(self.data.train, batches, config.data.workers, accelerator.device)

    def _turn(self, batch: Batch, run_log: RunLog, timer: DataTimer) -> float | None:
        """One step and what follows from its number; the mean loss where a line was logged."""
        config = self.config
        norm = self.train_step.learn(batch, self.step)
        self.step += 1
        run_log.step()
        ended, loss = self.step == config.steps, None
        if self.step % config.log.every == 0 or ended:
            loss = self._log_step(run_log, norm, timer)
        if self.step % config.checkpoint.every == 0 or ended:
            with writing(config.out):
                self._checkpoint(run_log)
        return loss

    def _log_step(self, run_log: RunLog, norm: Tensor, timer: DataTimer) -> float:
        means = self.train_step.meter.take(self.accelerator)
        seconds, share = timer.lap()
        lr, lr_backbone = self.train_step.rates
        record = {
            "kind": "train",
            "step": self.step,
            "epoch": self.step * self.config.batch_size / self.data.sampling.length,
            **means,
            "lr": lr,
            "lr_backbone": lr_backbone,
            "grad_norm": float(norm),
            "samples_per_s": self.config.log.every * self.config.batch_size / seconds,
            "data_wait": share,
            "seconds": timer.seconds,
        }
        with writing(self.config.out):
            run_log.write(record)
        if not all(torch.isfinite(torch.tensor(list(means.values())))):
            raise TrainingError(
                f"step {self.step}: the loss is not finite ({means}); try a smaller optimizer.lr or precision fp32; "
                f"the last good checkpoint is in {self.config.out}"
            )
        return means["loss"]

    def _checkpoint(self, run_log: RunLog) -> None:
        """Validate, save, roll out, draw. Every process validates; the first one does the rest."""
        losses = self._validation.run(self.train_step.eval_policy)
        if losses:
            run_log.write({"kind": "validation", "step": self.step, **losses})
        meter = self.train_step.meter.state(self.accelerator)
        if self.accelerator.rank == 0:
            value = losses.get("loss")
            if self._evaluate is not None:
                self.train_step.eval_policy.save(self.config.out / "last")
                scores = dict(self._evaluate(self.config.out / "last"))
                run_log.write({"kind": "rollouts", "step": self.step, **scores})
                value = scores["success"] if self.config.checkpoint.metric == "success" else value
            self._checkpoints.save(self.train_step.eval_policy, self.step, value)
            self._checkpoints.save_state(self._state(meter))
            run_log.draw()
        self.accelerator.wait()

    def _state(self, meter: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self.step,
            "fingerprint": self.data.fingerprint,
            **self.train_step.state(),
            "window": meter,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if state["fingerprint"] != self.data.fingerprint:
            raise TrainingError(
                f"{self.config.out}: was trained from data with fingerprint {state['fingerprint']}, the folders now "
                f"have {self.data.fingerprint}; a run goes on with the same episodes alone"
            )
        self.train_step.restore(state)
        self.step = state["step"]

    def _prepare_out(self) -> None:
        out = self.config.out
        weights = sum(value.numel() * value.element_size() for value in self.policy.state_dict().values())
        with writing(out):
            # last, best, the kept ones and one in the making; twice the state: weights, mean, two moments
            need_room(out, weights * (self.config.checkpoint.keep + 3) + 2 * 4 * weights)
            text = yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False)
            (out / CONFIG).write_text(text, encoding="utf-8")


def _keep_quiet(text: str) -> None:
    """What all processes but the first say."""


def _check_out(out: Path, *, resume: bool) -> None:
    if resume:
        return
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    if (out / RESUME).exists() or (out / "log.jsonl").exists():
        raise TrainingError(
            f"{out}: holds a run already; go on with `vgil train --resume {out}`, or take another --out"
        )
