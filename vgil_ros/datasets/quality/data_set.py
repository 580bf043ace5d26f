"""What the checks of a data set get and give: all its summaries at once, and what was found, with what to do."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from vgil_ros.datasets.quality.features.look import Look
from vgil_ros.datasets.quality.features.motion import Motion
from vgil_ros.datasets.quality.features.summary import Summary
from vgil_ros.datasets.quality.features.track import Track
from vgil_ros.datasets.quality.robust import FEWEST
from vgil_ros.episodes.checks.findings import Finding

Moved = tuple[Summary, Motion]
Looked = tuple[Summary, Look]


@dataclass(frozen=True)
class Found:
    """One thing found.

    Attributes:
        episode: place of the episode it is about; None: the data set.
        finding: severity, check, stream, words, rows.
        advice: what to do.
    """

    episode: int | None
    finding: Finding
    advice: str


@dataclass(frozen=True, eq=False)
class DataSet:
    """The summaries of a data set, and what it is to be used for.

    Attributes:
        summaries: of the episodes that could be read, by place.
        chunk: rows of an action chunk.
        validation: places of the episodes that training keeps for validation.
    """

    summaries: tuple[Summary, ...]
    chunk: int = 100
    validation: frozenset[int] = field(default_factory=frozenset)

    @cached_property
    def robots(self) -> list[list[Moved]]:
        """Episodes by robot: with the same columns of qpos and action."""
        found: dict[object, list[Moved]] = defaultdict(list)
        for one in self.summaries:
            if one.motion is not None:
                key = (one.joints, one.motion.qpos.path.shape, one.motion.action.path.shape)
                found[key].append((one, one.motion))
        return list(found.values())

    def columns(self) -> Iterator[tuple[list[Moved], str, list[Track]]]:
        """Each group of `alike` with `qpos`, then `action`, and that stream's tracks, one an episode."""
        for group in self.alike:
            for stream in ("qpos", "action"):
                yield group, stream, [getattr(motion, stream) for _, motion in group]

    @cached_property
    def alike(self) -> list[list[Moved]]:
        """Episodes whose motion can be held against each other: of one robot and one task, at least `FEWEST`.

        Those of a task with fewer stand with the most frequent one of their robot.
        """
        groups = []
        for members in self.robots:
            counts = Counter(plain(one.task) for one, _ in members)
            usual = counts.most_common(1)[0][0]
            tasks: dict[str, list[Moved]] = defaultdict(list)
            for one, motion in members:
                task = plain(one.task)
                tasks[task if counts[task] >= FEWEST else usual].append((one, motion))
            groups += [group for group in tasks.values() if len(group) >= FEWEST]
        return groups

    @cached_property
    def cameras(self) -> dict[tuple[str, tuple[int, int]], list[Looked]]:
        """Looks by camera and size, at least `FEWEST` each."""
        found: dict[tuple[str, tuple[int, int]], list[Looked]] = defaultdict(list)
        for one in self.summaries:
            for name, look in one.looks.items():
                found[name, look.size].append((one, look))
        return {key: looks for key, looks in found.items() if len(looks) >= FEWEST}

    @cached_property
    def session(self) -> dict[int, int]:
        """Place in time of each episode, by its place in the data set: by when it was made, where all say so."""
        told = all(one.created for one in self.summaries)
        order = sorted(self.summaries, key=lambda one: (one.created or "" if told else "", one.number))
        return {one.number: i for i, one in enumerate(order)}

    def in_time(self, members: Sequence[Moved] | Sequence[Looked]) -> list[int]:
        """The places within `members`, oldest first."""
        return sorted(range(len(members)), key=lambda i: self.session[members[i][0].number])


Check = Callable[[DataSet], Iterator[Found]]


def plain(text: str | None) -> str:
    """A task's words without what people write now so, now so: case, spaces, the full stop."""
    return re.sub(r"[\W_]+", " ", (text or "").casefold()).strip()
