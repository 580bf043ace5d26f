"""What the folder of a training run tells: its configuration, its log, its checkpoints, and whether it goes on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from vgil_ros.core.config import load_yaml
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.report import EvaluationReport, read_report
from vgil_ros.training.run_log import CONFIG, CURVES, LOG, RESUME, Record, read_log
from vgil_ros.web.runs.child import Child, ChildFiles

FRESH_S = 60.0  # a log that was written to so lately is being written
LATEST = 5  # log lines whose mean is the pace
ESTIMATE = re.compile(r"^about .+ to go: ")
EVALUATION = "evaluation"  # folder of an evaluation that the page started
EVALUATION_REPORT, SHEET = "eval.json", "thumbnail_sheet.png"


class State(str, Enum):
    """How things stand with a run; the values are for people."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping, saves its last step"
    ELSEWHERE = "running in a terminal"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


GOING = (State.STARTING, State.RUNNING, State.STOPPING, State.ELSEWHERE)


@dataclass(frozen=True, eq=False)
class Run:
    """A run.

    Attributes:
        folder: where it lies; its name is the run's.
        config: as `config.yaml` has it; empty where it was not written yet.
        records: of the log.
        state: how it stands.
        words: the last lines that it printed.
        can_resume: whether there is a state to go on from.
        reports: evaluations that lie in the folder, by file.
        evaluating: whether one is under way.
    """

    folder: Path
    config: Mapping[str, Any]
    records: Sequence[Record]
    state: State
    words: tuple[str, ...]
    can_resume: bool
    reports: Mapping[Path, EvaluationReport]
    evaluating: bool
    evaluation_words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    @property
    def policy(self) -> str:
        """Kind of policy; "" while it is not known."""
        return str((self.config.get("policy") or {}).get("type") or "")

    @property
    def step(self) -> int:
        """Steps that are done, as far as the log says."""
        return int(self.records[-1]["step"]) if self.records else 0

    @property
    def steps(self) -> int:
        """Steps that were asked for; 0 while that is not known."""
        return int(self.config.get("steps") or 0)

    def series(self, kind: str, key: str) -> list[tuple[int, float]]:
        """(step, value) of the log's records of a kind: train, validation, rollouts."""
        return [(r["step"], r[key]) for r in self.records if r.get("kind") == kind and r.get(key) is not None]

    def last(self, kind: str, key: str) -> float | None:
        """The newest value; None where there is none."""
        found = self.series(kind, key)
        return found[-1][1] if found else None

    @property
    def best(self) -> tuple[str, float] | None:
        """(what it is, the best value) of what its checkpoints are chosen by; None before the first."""
        metric = str((self.config.get("checkpoint") or {}).get("metric") or "action_error")
        kind, key = {"success": ("rollouts", "success"), "validation_loss": ("validation", "loss")}.get(
            metric, ("validation", metric)
        )
        values = [value for _, value in self.series(kind, key)]
        if not values:
            return None
        return metric.replace("_", " "), max(values) if metric == "success" else min(values)

    @property
    def samples_per_s(self) -> float | None:
        """Over the last log lines; None before the first."""
        latest = [value for _, value in self.series("train", "samples_per_s")[-LATEST:]]
        return sum(latest) / len(latest) if latest else None

    @property
    def seconds_left(self) -> float | None:
        """Of training, validations not counted; None where it is not known, or there are none."""
        pace, batch = self.samples_per_s, float(self.config.get("batch_size") or 0)
        if not pace or not batch or self.state not in GOING:
            return None
        return max(0.0, (self.steps - self.step) * batch / pace)

    @property
    def estimate(self) -> str:
        """What the training itself said of its length (training/estimate.py), by its first steps; "" before."""
        told = [line for line in self.words if "on this CPU the run will take" in line or ESTIMATE.search(line)]
        return told[-1] if told and self.state in GOING else ""

    @property
    def checkpoint(self) -> Path | None:
        """The best checkpoint, or else the last; None where there is none."""
        for name in ("best", "last"):
            if (self.folder / name / "policy.json").is_file():
                return self.folder / name
        return None

    @property
    def images(self) -> list[Path]:
        """The sheet of an evaluation's scenes."""
        return [path for path in (self.folder / EVALUATION / SHEET,) if path.is_file()]


class RunFolders:
    """Reads the runs of a folder; a log that did not change is not read again.

    Args:
        root: folder of runs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._logs: dict[Path, tuple[tuple[int, int], list[Record]]] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Run]:
        """All runs, the newest first."""
        if not self.root.is_dir():
            return []
        folders = [path for path in self.root.iterdir() if is_run(path)]
        return [self.read(path) for path in sorted(folders, key=_changed, reverse=True)]

    def read(self, folder: Path) -> Run:
        """One run."""
        records = self._records(folder / LOG)
        training, evaluating = ChildFiles(folder, "train"), ChildFiles(folder, "eval")
        child, judge = training.read(), evaluating.read()
        config, words = _config(folder), tuple(training.words())
        reports = _reports(folder)
        run = Run(
            folder,
            config,
            records,
            _state(folder, config, records, child, words),
            words,
            (folder / RESUME).is_file(),
            reports,
            judge is not None and judge.alive,
            tuple(evaluating.words(16)) if judge is not None else (),
        )
        return run

    def _records(self, path: Path) -> list[Record]:
        try:
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size)
            with self._lock:
                known = self._logs.get(path)
            if known is not None and known[0] == mark:
                return known[1]
            records = [r for r in read_log(path) if isinstance(r, dict) and isinstance(r.get("step"), int)]
        except (OSError, UnicodeDecodeError):
            return []
        with self._lock:
            self._logs[path] = (mark, records)
        return records


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's."""
    marks = (CONFIG, LOG, "train_process.json")
    return folder.is_dir() and not folder.name.startswith(".") and any((folder / name).is_file() for name in marks)


def _changed(folder: Path) -> float:
    times = [path.stat().st_mtime for name in (LOG, CONFIG, "train_process.json") if (path := folder / name).exists()]
    return max(times, default=0.0)


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = load_yaml(folder / CONFIG)
    except VgilError:
        return {}
    return found if isinstance(found, dict) else {}


def _state(
    folder: Path, config: Mapping[str, Any], records: Sequence[Record], child: Child | None, words: Sequence[str]
) -> State:
    if child is not None and child.alive:
        return State.STOPPING if child.asked_to_stop else State.RUNNING if records else State.STARTING
    if records and records[-1]["step"] >= int(config.get("steps") or 0) and (folder / "last").is_dir():
        return State.DONE
    if child is None and (folder / LOG).exists() and time.time() - (folder / LOG).stat().st_mtime < FRESH_S:
        return State.ELSEWHERE
    if child is not None and not child.asked_to_stop and (child.code or any(w.startswith("error:") for w in words)):
        return State.FAILED
    return State.STOPPED


def _reports(folder: Path) -> dict[Path, EvaluationReport]:
    found = {}
    for path in sorted([*folder.glob("*.json"), *folder.glob(f"{EVALUATION}/*.json")]):
        try:
            found[path] = read_report(path)
        except VgilError:
            continue
    return found


def downsampled(points: Sequence[tuple[int, float]], most: int = 400) -> list[tuple[int, float]]:
    """At most `most` of a curve's points, its first and last among them; each the mean of those around it."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) // most)
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


__all__ = ["CURVES", "EVALUATION", "EVALUATION_REPORT", "GOING", "Run", "RunFolders", "State", "downsampled", "is_run"]
