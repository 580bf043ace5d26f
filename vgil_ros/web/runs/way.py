"""A newcomer's way from the demo to a policy of one's own: which step is done, told by what is really there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.reading.listing import list_episodes
from vgil_ros.web.runs.folder import GOING, Run
from vgil_ros.web.runs.training import Trainings, episode_folders

ENOUGH = 50  # demonstrations, where nobody said another number: a simulated pick-and-place begins to work
DEMO = ("report.html", "demo_data/report.html")  # what `vgil demo` leaves behind


class Mark(str, Enum):
    """How a step stands."""

    DONE = "done"
    NOW = "now"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the way.

    Attributes:
        name: in two or three words.
        words: how it stands.
        address: the page for it.
        mark: whether it is done, the next one, or still to come.
    """

    name: str
    words: str
    address: str
    mark: Mark


@dataclass(frozen=True)
class Facts:
    """What is there.

    Attributes:
        demo: whether the demo's report is.
        episodes: demonstrations.
        faulty: of them, those with something wrong at a glance.
        wanted: demonstrations that are the goal.
        runs: trainings.
    """

    demo: bool
    episodes: int
    faulty: int
    wanted: int
    runs: Sequence[Run]


def way(facts: Facts) -> list[Step]:
    """The six steps, in their order; the first that is not done is the next one."""
    going = [run for run in facts.runs if run.state in GOING]
    trained = [run for run in facts.runs if run.checkpoint is not None]
    judged = [report for run in facts.runs for report in run.reports.values()]
    best = max(judged, key=lambda report: report.success_rate, default=None)
    faults = f"{facts.faulty} with faults" if facts.faulty else "nothing wrong at a glance"
    training = f"{going[0].name}: step {going[0].step}" if going else f"{len(trained)} trained" if trained else "none"
    rows = (
        ("Look", "the demo ran" if facts.demo else "make demo, then its report", "/", facts.demo or facts.episodes > 0),
        ("Record", f"{facts.episodes} of {facts.wanted}", "/teach", facts.episodes >= facts.wanted),
        (
            "Check",
            faults if facts.episodes else "no episodes yet",
            "/episodes",
            facts.episodes > 0 and not facts.faulty,
        ),
        ("Train", training, "/train", bool(trained) and not going),
        ("Evaluate", f"{best.successes} of {best.episodes} succeed" if best else "not yet", "/train", bool(judged)),
        ("Run", "on the page Act" if trained else "needs a checkpoint", "/act", False),
    )
    steps, found = [], False
    for name, words, address, done in rows:
        mark = Mark.DONE if done else Mark.OPEN if found else Mark.NOW
        found = found or not done
        steps.append(Step(name, words, address, mark))
    return steps


class FactFinder:
    """Looks at folders; one that did not change is not looked into again. For a thread: it reads files.

    Args:
        trainings: the folders.
    """

    def __init__(self, trainings: Trainings) -> None:
        self._trainings = trainings
        self._faulty: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def find(self, wanted: int | None) -> Facts:
        """What is there; `wanted`: the recorder's goal."""
        root = self._trainings.dataset_dir
        counts = episode_folders(root)
        faulty = sum(self._faults(root / name) for name in counts)
        places = [root, root.parent, Path.cwd()]
        demo = any((place / name).is_file() for place in places for name in DEMO)
        return Facts(demo, sum(counts.values()), faulty, wanted or ENOUGH, self._trainings.folders.all())

    def _faults(self, folder: Path) -> int:
        with self._lock:
            try:
                changed = folder.stat().st_mtime_ns
                if self._faulty.get(folder, (0, 0))[0] != changed:
                    lines = [line for line in list_episodes(folder) if line.file.endswith(".hdf5")]
                    self._faulty[folder] = (changed, sum(bool(line.problems) for line in lines))
                return self._faulty[folder][1]
            except (OSError, VgilError):
                return 0
