"""Starting, stopping and judging trainings: what a form asks for, checked in words before anything runs."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vgil_ros.assets import share_dir
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.training.config import TrainConfig, load_config
from vgil_ros.web.runs.child import ChildFiles
from vgil_ros.web.runs.folder import EVALUATION, EVALUATION_REPORT, GOING, Run, RunFolders, State

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
TASK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,79}")
MOST_ROLLOUTS = 1000


class RunError(VgilError):
    """A training that cannot be begun, stopped or judged as asked."""


@dataclass(frozen=True)
class NewRun:
    """What a form asks for.

    Attributes:
        name: of the run's folder.
        data: folders of episodes, of those that are offered.
        config: a name in config/policies, or a YAML file.
        settings: by dotted key, as text: {"steps": "3000"}; an empty text leaves the configuration's.
    """

    name: str
    data: tuple[str, ...]
    config: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def overrides(self) -> list[str]:
        """As `vgil train` takes them."""
        return [f"{key}={value.strip()}" for key, value in self.settings.items() if value.strip()]


def config_names() -> list[str]:
    """The configurations that come with the package."""
    return sorted(path.stem for path in (share_dir() / "config" / "policies").glob("*.yaml"))


def devices() -> list[str]:
    """What there is to train on, as far as can be seen without torch."""
    return ["cuda", "cpu"] if Path("/proc/driver/nvidia/version").exists() else ["cpu"]


def episode_folders(root: Path) -> dict[str, int]:
    """How many episodes a folder has, and each of the folders in it; "." is the folder itself. None have zero."""
    if not root.is_dir():
        return {}
    inner = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    counts = {}
    for folder in (root, *inner):
        with contextlib.suppress(OSError):
            counts[str(folder.relative_to(root))] = len(naming.episodes_in(folder))
    return {name: count for name, count in counts.items() if count}


class Trainings:
    """The trainings of a folder of runs, with data of a folder of episodes.

    Args:
        runs_dir: where runs lie; made when the first one begins.
        dataset_dir: of the episodes.
    """

    def __init__(self, runs_dir: Path, dataset_dir: Path) -> None:
        self.runs_dir, self.dataset_dir = runs_dir, dataset_dir
        self.folders = RunFolders(runs_dir)
        self._lock = threading.Lock()  # one is begun or stopped at a time

    def check(self, wish: NewRun) -> TrainConfig:
        """Return the configuration that a form means.

        Raises:
            RunError, TrainingError: naming what cannot be, what was found, and what is allowed.
        """
        out = self._new_folder(wish.name)
        offered = episode_folders(self.dataset_dir)
        if not wish.data:
            raise RunError(f"no data is chosen; allowed: {', '.join(offered) or 'none: record episodes first'}")
        if unknown := [name for name in wish.data if name not in offered]:
            raise RunError(f"data folder {unknown[0]!r} is unknown; allowed: {', '.join(offered) or 'none'}")
        folders = [str((self.dataset_dir / name).resolve()) for name in wish.data]
        config = load_config(self._config(wish.config), wish.overrides, {"data.folders": folders, "out": str(out)})
        chosen = [str(folder.path) for folder in config.data.folders]
        if str(config.out) != str(out) or chosen != folders:
            raise RunError("more settings name 'out' or 'data.folders'; allowed: the form's own name and data")
        return config

    def start(self, wish: NewRun) -> Path:
        """Begin a training; returns its folder.

        Raises:
            RunError, TrainingError: see `check`.
            VgilError: it cannot be started.
        """
        with self._lock:
            config = self.check(wish)
            data = [part for folder in config.data.folders for part in ("--data", str(folder.path))]
            try:
                config.out.mkdir(parents=True)
            except FileExistsError:
                raise RunError(f"a run '{wish.name}' is there already; allowed: a new name") from None
            except OSError as error:
                raise RunError(f"{config.out}: cannot be made ({error.strerror or error})") from error
            arguments = ["train", "--config", self._config(wish.config), *data, "--out", str(config.out)]
            ChildFiles(config.out, "train").start([*arguments, *wish.overrides])
        return config.out

    def resume(self, name: str, steps: int | None = None) -> None:
        """Go on with a run that stands; `steps`: in all, where they are to be more.

        Raises:
            RunError: it runs, or has nothing to go on from.
        """
        with self._lock:
            run = self.run(name)
            if run.state in GOING:
                raise RunError(f"run '{name}' is {run.state.value}; allowed: one that stands")
            if not run.can_resume:
                raise RunError(f"run '{name}' ended before its first checkpoint; allowed: a new run")
            if run.state is State.DONE and not (steps and steps > run.steps):
                raise RunError(f"run '{name}' has all its {run.steps} steps; allowed: more of them")
            more = [] if steps is None or steps == run.steps else ["--steps", str(steps)]
            ChildFiles(run.folder, "train").start(["train", "--resume", str(run.folder), *more])

    def stop(self, name: str) -> None:
        """End a training after the step under way, which is saved.

        Raises:
            VgilError: it was not started by a page, or stands.
        """
        with self._lock:
            ChildFiles(self.run(name).folder, "train").stop()

    def evaluate(self, name: str, task: str, episodes: int, seed: int = 1000) -> None:
        """Measure a run's checkpoint in simulated scenes that it has not seen.

        Raises:
            RunError: there is no checkpoint, or task or number cannot be.
        """
        with self._lock:
            run = self.run(name)
            if run.checkpoint is None:
                raise RunError(f"run '{name}' has no checkpoint yet; allowed: after its first one")
            if not TASK.fullmatch(task):
                raise RunError(f"task is '{task}'; allowed: a name such as pick_place")
            if not 1 <= episodes <= MOST_ROLLOUTS:
                raise RunError(f"{episodes} rollouts; allowed: 1 to {MOST_ROLLOUTS}")
            out = run.folder / EVALUATION
            out.mkdir(exist_ok=True)
            arguments = ["eval", "--checkpoint", str(run.checkpoint), "--task", task, "--episodes", str(episodes)]
            arguments += ["--seed", str(seed), "--videos", str(out), "--json", str(out / EVALUATION_REPORT)]
            ChildFiles(run.folder, "eval").start(arguments)

    def run(self, name: str) -> Run:
        """A run by its name.

        Raises:
            RunError: there is none.
        """
        folder = self._folder(name)
        if not folder.is_dir():
            raise RunError(f"run '{name}' is unknown; allowed: {', '.join(self._names()) or 'none yet'}")
        return self.folders.read(folder)

    def _names(self) -> Sequence[str]:
        return sorted(path.name for path in self.runs_dir.iterdir() if path.is_dir()) if self.runs_dir.is_dir() else []

    def _folder(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise RunError(f"name is '{name}'; allowed: letters, digits, '_', '-' and '.', up to 80, no folder in it")
        folder = (self.runs_dir / name).resolve()
        if not folder.is_relative_to(self.runs_dir.resolve()):
            raise RunError(f"run '{name}' lies elsewhere; allowed: folders of {self.runs_dir}")
        return folder

    def _new_folder(self, name: str) -> Path:
        folder = self._folder(name)
        if folder.exists():
            raise RunError(f"a run '{name}' is there already; allowed: a new name")
        return folder

    def _config(self, name: str) -> str:
        """One of the shipped configurations, or a file in the runs' folder: a browser names no other files."""
        if name in config_names():
            return name
        own = {path.name: path for path in self.runs_dir.glob("*.yaml")}
        if name not in own:
            raise RunError(f"configuration '{name}' is unknown; allowed: {', '.join([*config_names(), *sorted(own)])}")
        return str(own[name].resolve())

    def configs(self) -> list[str]:
        """Names of configurations that may be chosen: shipped ones, and YAML files in the runs' folder."""
        return [*config_names(), *sorted(path.name for path in self.runs_dir.glob("*.yaml"))]
