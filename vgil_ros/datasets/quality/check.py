"""Check of a data set: each episode by itself, its summary, then all summaries against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.features.summary import Summary, summarise
from vgil_ros.datasets.quality.registry import CHECKS
from vgil_ros.datasets.quality.report import QualityReport, Verdict, advised
from vgil_ros.datasets.quality.robust import FEWEST
from vgil_ros.datasets.source import open_source
from vgil_ros.datasets.workers import Progress, opened
from vgil_ros.episodes.checks.check import check_episode, check_opened
from vgil_ros.episodes.checks.findings import Finding, Report
from vgil_ros.episodes.checks.motion.outliers import compare
from vgil_ros.episodes.checks.same_setup import check_folder
from vgil_ros.episodes.errors import naming_file
from vgil_ros.episodes.layouts import Layout
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.parallel import Work, WorkerKilled, executor

KILLED = "the process that read it was killed, for want of memory perhaps; needed: more memory, or fewer --workers"
Examined = tuple[Summary | None, Report]


def check_dataset(
    path: Path,
    *,
    layout: str | None = None,
    chunk: int = 100,
    validation: Callable[[int], Collection[int]] = lambda count: (),
    workers: int = 1,
    progress: Progress = lambda items, what, count: items,
) -> QualityReport:
    """Say what is wrong or doubtful with the episodes of a data set, and with the whole of it.

    Args:
        path: of any kind that `open_source` opens.
        layout: of HDF5 files, where the caller knows better than they.
        chunk: rows of an action chunk that a policy is to learn.
        validation: places of the episodes that training would keep for validation, of so many.
        workers: processes, an episode each.
        progress: wraps the episodes, such as `tqdm`.

    Raises:
        DatasetError: it is no data set.
    """
    opened.cache_clear()  # what it was in an earlier call, of a notebook
    source = open_source(path, layout)
    names = source.names()
    if not names:
        raise DatasetError(f"{path}: holds no episode; needed: at least one")
    done: dict[int, Examined] = {}
    with (
        executor(workers) as pool,
        closing(pool.map(ExamineWork(path, layout, tuple(names)), range(len(names)))) as found,
    ):
        for outcome in progress(found, "check", len(names)):
            killed = isinstance(outcome.error, WorkerKilled)
            done[outcome.item] = _killed(path, names[outcome.item]) if killed else outcome.result()
    return verdicts_of(path, source.kind, names, done, chunk, frozenset(validation(len(names))))


def verdicts_of(
    path: Path, kind: str, names: Sequence[str], done: Mapping[int, Examined], chunk: int, validation: frozenset[int]
) -> QualityReport:
    """Hold examined episodes, by place, against each other; arguments as of `check_dataset`."""
    reports = compare([done[number][1] for number in range(len(names))])
    summaries = tuple(one for number in range(len(names)) if (one := done[number][0]) is not None)
    data = DataSet(summaries, chunk, validation)
    found: dict[int | None, list[Found]] = defaultdict(list)
    for number, report in enumerate(reports):
        found[number] += [advised(number, finding) for finding in report.findings]
    found[None] += [advised(None, finding) for finding in check_folder(path, reports).findings]
    for said in judge(data):
        found[said.episode].append(said)
    for members in found.values():
        members.sort(key=lambda one: one.finding.rank)
    verdicts = tuple(Verdict(number, name, tuple(found[number])) for number, name in enumerate(names))
    return QualityReport(path, kind, verdicts, tuple(found[None]), data)


def judge(data: DataSet) -> list[Found]:
    """Run every check over the summaries of a data set, and say of which episodes nothing can be said."""
    found = [one for check in CHECKS for one in check(data)]
    unjudged = len(data.summaries) - sum(map(len, data.alike))
    if unjudged:
        message = (
            f"{unjudged} of {len(data.summaries)} episodes are too few of their robot and task to be held against"
            f" each other; needed: {FEWEST}"
        )
        advice = "record more, or look at them one by one: `vgil episodes check FILE`"
        found.append(Found(None, Finding("info", "too few", "episode", message), advice))
    return found


def examine(path: Path, layout: str | None, number: int) -> Examined:
    """Check one episode by itself, and make its summary; None where it cannot be read."""
    source, names = opened(path, layout)
    name = names[number]
    try:
        with naming_file(path / name, "checked"), source.open(number) as episode:
            summary = summarise(episode, number, name)
            if not isinstance(episode, EpisodeReader):
                return summary, check_opened(episode)
            file = episode.path
        return summary, check_episode(file, layout=cast(Layout | None, layout))
    except VgilError as error:
        finding = Finding("error", "file", name, str(error).removeprefix(f"{path}: "))
        return None, Report(path / name, (finding,))


@dataclass(frozen=True)
class ExamineWork(Work[int, Examined]):
    """Examines episodes, which are named by their places."""

    path: Path
    layout: str | None
    names: tuple[str, ...]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], Examined]]:
        """See `Work.open`."""
        yield lambda number: examine(self.path, self.layout, number)

    def name(self, item: int) -> str:
        """See `Work.name`."""
        return str(self.path / self.names[item])


def _killed(path: Path, name: str) -> Examined:
    return None, Report(path / name, (Finding("error", "file", name, KILLED),))
