"""The training loop, one for all policies.

All that is random in a step follows from the seed and the step's number: which rows, how images are changed, and
torch's own generators (dropout, noise), which are seeded anew at each step. So a run that was cut off and resumed
computes what an unbroken one would, and nothing of a generator's state need be kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from vgil_ros.training.build import TrainingData, load_data, make_policy
from vgil_ros.training.checkpoints import (
    Checkpoints,
    as_it_was_chosen,
    prepare_folder,
    same_episodes,
    take_folder,
    writing,
)
from vgil_ros.training.config import DistillationConfig, TrainConfig
from vgil_ros.training.data.dataset import Batch, Loader
from vgil_ros.training.data.reference import reference_of
from vgil_ros.training.data.sampling import ProcessBatches
from vgil_ros.training.distillation import (
    PairCache,
    Reflow,
    fingerprint_of,
    load_teacher,
    make_student,
    student_settings,
)
from vgil_ros.training.distributed import Accelerator, first_before_others, make_accelerator
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.estimate import PaceWatch, before_the_first
from vgil_ros.training.interrupt import StopRequest
from vgil_ros.training.meters import DataTimer
from vgil_ros.training.non_finite import LossWatch, StepDone
from vgil_ros.training.optimization import TrainStep
from vgil_ros.training.precision import choose_precision
from vgil_ros.training.pretrained.frozen_cache import FrozenCache
from vgil_ros.training.pretrained.initial import with_sizes_of_initial
from vgil_ros.training.run_log import RESUME, RunLog
from vgil_ros.training.validation import ACTION_ERROR, Validation

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
            resume: go on from `config.out`; without it, `config.out` must hold no run that could go on.
            evaluate: rollouts of a checkpoint folder; gives "success" and other numbers for the log.

        Raises:
            TrainingError, PolicyError: see `load_data`, `make_policy`, `make_accelerator`.
        """
        self.config = config
        self.accelerator: Accelerator = make_accelerator(config.device)
        parts = self.accelerator.processes * config.gradient_accumulation
        if config.batch_size % parts:
            raise TrainingError(
                f"batch_size {config.batch_size} cannot be shared by {self.accelerator.processes} processes with "
                f"gradient_accumulation {config.gradient_accumulation}; allowed: a multiple of {parts}"
            )
        self._log, self._progress = (log, progress) if self.accelerator.rank == 0 else (_keep_quiet, False)
        if not resume:
            take_folder(config.out, self._log)
        by_success = config.checkpoint.metric == "success"
        self._checkpoints = Checkpoints(config.out, config.checkpoint.keep, higher_is_better=by_success)
        state = self._checkpoints.load_state() if resume else None
        if state is not None:
            self.config = config = as_it_was_chosen(config, state, self._log)
        held_out = None if state is None else state.get("validation")
        self._teach: Callable[[Batch], Batch] | None = None  # what a teacher adds to a batch
        self._reflow: Reflow | None = None  # the same, of the moment
        self._teacher: str | None = None  # the fingerprint of its weights
        if config.distillation is None:
            config = with_sizes_of_initial(config, self._log)
            self.data = self._load(config, held_out, resumed=resume)
            self.policy = make_policy(config, self.data, self._log).to(self.accelerator.device)
        else:
            self._take_teacher(config.distillation, held_out, resumed=resume)
        self._keep_frozen()
        precision, words = choose_precision(config.precision, self.accelerator.device)
        self._log(words)
        self.train_step = TrainStep(
            self.policy, config.model_copy(update={"precision": precision}), self.accelerator, self._teach
        )
        self._validation = Validation(
            self.data.validation,
            config,
            self.accelerator,
            self._reflow,
            precision=precision,
            log=self._say,
            progress=self._progress,
        )
        self._evaluate = evaluate
        self._run_log: RunLog | None = None
        self._stop = StopRequest(rank=self.accelerator.rank, processes=self.accelerator.processes)
        self._watch = LossWatch(self.policy, self.data.train, self.accelerator.device, config.out)
        self.step = self._logged = self._saved = 0  # steps that are done, when the last line and state were written
        self._unfinished = False  # whether Ctrl-C kept the last checkpoint from being validated
        if state is not None:
            self._restore(state)

    def _load(self, config: TrainConfig, held_out: Collection[str] | None, *, resumed: bool) -> TrainingData:
        return load_data(
            config,
            self._log,
            progress=self._progress,
            held_out=held_out,
            resumed=resumed,
            accelerator=self.accelerator,
        )

    def _take_teacher(self, settings: DistillationConfig, held_out: Collection[str] | None, *, resumed: bool) -> None:
        """Load the data as a teacher had them, its student, and what it teaches."""
        teacher = load_teacher(settings)
        self._teacher = fingerprint_of(teacher)
        merged = student_settings(self.config, teacher, self._log)
        self.data = self._load(merged, held_out, resumed=resumed)
        student = make_student(teacher, self.data.policy, field_only=settings.field_only)
        self.policy = student.to(self.accelerator.device)
        self._teach = self._reflow = Reflow(teacher.to(self.accelerator.device), student.config.steps, student.draws)
        if settings.cache is None:
            return
        pairs = PairCache(settings.cache.expanduser(), self.data.train, self._reflow, settings.draws)
        if self.accelerator.rank == 0 and not pairs.complete:
            pairs.build(lambda parts: tqdm(parts, "teacher", delay=2, leave=False, disable=not self._progress))
        self.accelerator.wait()
        self._teach = pairs

    def _keep_frozen(self) -> None:
        """Keep what the frozen part of the policy makes of a row, where that is asked for, ahead of any teacher."""
        if self.config.frozen_cache is None:
            return
        with first_before_others(self.accelerator):
            cache = FrozenCache(self.config.frozen_cache.expanduser(), self.data.train, self.policy)
        taught = self._teach
        self._teach = cache if taught is None else lambda batch: taught(cache(batch))

    def _say(self, text: str) -> None:
        """Say a line, above the bar where there is one."""
        if self._run_log is not None:
            self._run_log.log(text)
        else:
            self._log(text)

    def run(self) -> TrainResult:
        """Train to the last step.

        Raises:
            TrainingError: the loss is not finite, or the disk is full; what was saved before stands.
            EpisodeError: an episode can no longer be read.
            KeyboardInterrupt: by the user; the step that was under way is saved, unless there was a second one.
        """
        config, accelerator = self.config, self.accelerator
        if accelerator.rank == 0:
            weights = sum(value.numel() * value.element_size() for value in self.policy.state_dict().values())
            prepare_folder(config, weights)
            self._checkpoints.reference = reference_of(self.data.stats, self.data.policy, self._log)
        accelerator.wait()
        self._tell_length()
        if 0 < config.steps <= config.schedule.warmup_steps:
            self._say(
                f"warning: schedule.warmup_steps is {config.schedule.warmup_steps} of {config.steps} steps: the rate"
                f" ends below optimizer.lr; allowed for a whole schedule: less than {config.steps}"
            )
        run_log = self._run_log = RunLog(
            config, self.step, first=accelerator.rank == 0, progress=self._progress, log=self._log
        )
        timer, began, last = DataTimer(), self.step, None
        pace, self._logged = PaceWatch(config.steps - self.step), self.step
        try:
            with self._stop:
                if self._unfinished and self.step == config.steps:
                    with writing(config.out):
                        self._checkpoint(run_log)
                batches = iter(self._loader())
                while self.step < config.steps and not self._stops():
                    since = time.perf_counter()
                    batch = next(batches)
                    timer.waited(since)
                    last = self._turn(batch, run_log, timer) or last
                    if (words := pace.step()) is not None:
                        self._say(words)
                if self._stops() and (self.step < config.steps or self._unfinished):
                    self._leave()
        except KeyboardInterrupt:
            run_log.log(f"stopped at step {self.step}; {self._way_on()}")
            raise
        finally:
            self._run_log = None
            self.data.train.close()
            self.data.validation.close()
            with writing(config.out):
                run_log.close()
        rate = (self.step - began) * config.batch_size / max(timer.seconds, 1e-9)
        best = self._checkpoints.ranked[0][0] if self._checkpoints.ranked else None
        return TrainResult(config.out, self.step, last, best, rate, timer.share, timer.seconds)

    def close(self) -> None:
        """Part from the other processes."""
        self.accelerator.close()

    def _stops(self) -> bool:
        """Whether Ctrl-C reached one of the processes: they end after the same step."""
        return self.accelerator.any(self._stop.asked)

    def _tell_length(self) -> None:
        """On a CPU, say before the first step where a run will take days."""
        if self.accelerator.device.type != "cpu" or self.accelerator.processes > 1 or self._teach is not None:
            return
        words = before_the_first(self.config, self.config.steps - self.step, self.data.train, self.train_step.rehearse)
        if words is not None:
            self._say(words)

    def _loader(self) -> Loader:
        config, accelerator = self.config, self.accelerator
        batches = ProcessBatches(
            self.data.sampling, config.batch_size, self.step, config.steps, accelerator.rank, accelerator.processes
        )
        return Loader(self.data.train, batches, config.data.workers, accelerator.device, self._say)

    def _turn(self, batch: Batch, run_log: RunLog, timer: DataTimer) -> float | None:
        """One step and what follows from its number; the mean loss where a line was logged."""
        config = self.config
        norm = self.train_step.learn(batch, self.step)
        self.step += 1
        run_log.step()
        ended, loss = self.step == config.steps, None
        logs, saves = self.step % config.log.every == 0 or ended, self.step % config.checkpoint.every == 0 or ended
        done = StepDone(self.step, batch["index"], self.train_step.parts, norm, self.train_step.rates)
        self._watch.check(done, now=logs or saves or self._stop.asked)
        if logs:
            loss = self._log_step(run_log, norm, timer)
        self._unfinished = saves
        if saves and not self._stops():
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
            "samples_per_s": (self.step - self._logged) * self.config.batch_size / max(seconds, 1e-9),
            "data_wait": share,
            "seconds": timer.seconds,
        }
        self._logged = self.step
        with writing(self.config.out):
            run_log.write(record)
        return means["loss"]

    def _checkpoint(self, run_log: RunLog) -> None:
        """Validate, save, roll out, draw. Every process validates; the first one does the rest.

        After Ctrl-C it is saved as it is, with no value among the others: a run that goes on from its end makes up for
        it.
        """
        losses = self._validation.run(self.train_step.eval_policy, self._stops)
        self._unfinished = self._stops() and (not losses or self._evaluate is not None)
        if losses:
            run_log.write({"kind": "validation", "step": self.step, **losses})
        meter = self.train_step.meter.state(self.accelerator)
        if self.accelerator.rank == 0:
            metric = self.config.checkpoint.metric
            value = losses.get(ACTION_ERROR if metric == ACTION_ERROR else "loss")
            if self._unfinished:
                value = None
            elif self._evaluate is not None:
                self._checkpoints.save(self.train_step.eval_policy, self.step, None)
                # whatever becomes of the rollouts
                self._checkpoints.save_state(self._state(meter) | {"unfinished": True})
                scores = dict(self._evaluate(self.config.out / "last"))
                run_log.write({"kind": "rollouts", "step": self.step, **scores})
                value = scores["success"] if metric == "success" else value
            elif metric == "success":
                value = None
            self._checkpoints.save(self.train_step.eval_policy, self.step, value)
            self._checkpoints.save_state(self._state(meter))
            run_log.draw()
        self._saved = self.step
        self.accelerator.wait()

    def _leave(self) -> None:
        """Save the step that Ctrl-C ended the run at, where it is not saved yet, and end it."""
        if self.step > self._saved:
            self._watch.look()  # it may have come after the last look
            meter = self.train_step.meter.state(self.accelerator)
            if self.accelerator.rank == 0:
                with writing(self.config.out):
                    self._checkpoints.save(self.train_step.eval_policy, self.step, None)
                    self._checkpoints.save_state(self._state(meter))
            self.accelerator.wait()  # a process that is gone has the others ended too
        raise KeyboardInterrupt

    def _way_on(self) -> str:
        if (self.config.out / RESUME).is_file():
            several = "torchrun ... -m vgil_ros.cli.main" if self.accelerator.processes > 1 else "vgil"
            return f"go on with: {several} train --resume {self.config.out}"
        return f"nothing was saved before its first step; begin anew with --out {self.config.out}"

    def _state(self, meter: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self.step,
            "fingerprint": self.data.fingerprint,
            "episodes": sorted(one.digest for one in self.data.stats),
            "unfinished": self._unfinished,
            "validation": sorted(one.digest for one in self.data.validation.episodes),
            **self.train_step.state(),
            "window": meter,
            "teacher": self._teacher,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        ours = {one.digest for one in self.data.stats}
        taught = state.get("teacher")
        if taught is not None and taught != self._teacher:
            assert self.config.distillation is not None
            raise TrainingError(
                f"distillation.teacher {self.config.distillation.teacher} has other weights ({self._teacher})"
                f" than when this run began; allowed: those it began with ({taught})"
            )
        if (words := same_episodes(self.config, state, self.data.fingerprint, ours)) is not None:
            self._say(words)
        self.train_step.restore(state)
        self.step = self._saved = state["step"]
        self._unfinished = bool(state.get("unfinished", False))


def _keep_quiet(text: str) -> None:
    """What all processes but the first say."""
