"""Every fault of a data set that `vgil dataset check` looks for, seeded into made episodes, and how many are found."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from support.episodes.made_sets import RATE, Demonstration, Made, demonstrations, make, write
from vgil_ros.datasets.quality.check import Examined, examine, verdicts_of
from vgil_ros.datasets.quality.report import QualityReport
from vgil_ros.episodes import naming
from vgil_ros.training.data.sampling import split_episodes

CHUNK = 50
CLEAN, WHOLE = "clean episodes", "clean sets as a whole"
Random = np.random.Generator
Change = Callable[[Made, Random], Made]
Lead = Callable[[np.ndarray, np.ndarray, Random], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: in the matrix.
        checks: of the data set, any of which may name it.
        demo: changes what is shown. lead: changes the leader's path (T, 6) and gripper (T,). made: changes the rows.
        twin: takes another episode of the set in place of the own one.
        validation: whether it is seeded into an episode that is kept for validation.
    """

    name: str
    checks: tuple[str, ...]
    demo: Callable[[Demonstration, Random], Demonstration] | None = None
    lead: Lead | None = None
    made: Change | None = None
    twin: bool = False
    validation: bool = False


def _either(random: Random, small: float, large: float) -> float:
    return float(random.uniform(small, large) * random.choice([-1, 1]))


def _pause(path: np.ndarray, gripper: np.ndarray, random: Random) -> tuple[np.ndarray, np.ndarray]:
    at, rows = int(random.integers(20, len(path) - 20)), int(random.integers(50, 90))
    order = np.concatenate([np.arange(at), np.full(rows, at), np.arange(at, len(path))])
    return path[order], gripper[order]


def _pace(low: float, high: float) -> Lead:
    def lead(path: np.ndarray, gripper: np.ndarray, random: Random) -> tuple[np.ndarray, np.ndarray]:
        rows = int(len(path) * random.uniform(low, high))
        at, own = np.linspace(0, len(path) - 1, rows), np.arange(len(path))
        return np.stack([np.interp(at, own, c) for c in path.T], axis=1), np.interp(at, own, gripper)

    return lead


def _shake(path: np.ndarray, gripper: np.ndarray, random: Random) -> tuple[np.ndarray, np.ndarray]:
    t = np.arange(len(path)) / RATE
    for joint in random.choice(6, 3, replace=False):
        path[:, joint] += random.uniform(0.02, 0.035) * np.sin(
            2 * np.pi * random.uniform(4, 7) * t + random.uniform(0, 6)
        )
    return path, gripper


def _elsewhere(demo: Demonstration, random: Random) -> Demonstration:
    end = demo.end.copy()
    for joint in random.choice(6, 2, replace=False):
        end[joint] += _either(random, 0.15, 0.4)
    return replace(demo, end=end)


def _idle(place: int) -> Callable[[Demonstration, Random], Demonstration]:
    def change(demo: Demonstration, random: Random) -> Demonstration:
        rows = demo.rows.copy()
        rows[place] += int(random.uniform(1.5, 4.0) * RATE)
        return replace(demo, rows=rows)

    return change


def _chatter(path: np.ndarray, gripper: np.ndarray, random: Random) -> tuple[np.ndarray, np.ndarray]:
    first, rows = int(random.integers(5, len(path) - 45)), int(random.integers(30, 40))
    t = np.arange(rows) / RATE
    gripper = gripper.copy()
    wave = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * random.uniform(3.0, 5.0) * t))
    gripper[first : first + rows] = random.uniform(0.0, 0.3) + random.uniform(0.4, 0.7) * wave
    return path, gripper


def _at_limit(path: np.ndarray, gripper: np.ndarray, random: Random) -> tuple[np.ndarray, np.ndarray]:
    joint, limit = ((0, -2.0), (1, 1.2), (2, 1.3), (4, 1.8))[int(random.integers(4))]
    way = limit * random.uniform(1.05, 1.2) - path[0, joint]
    bump = np.clip(1.6 * np.sin(np.pi * np.linspace(0, 1, len(path))) ** 2, 0, 1)
    path[:, joint] += bump * (way - (path[:, joint] - path[0, joint]))
    path[:, joint] = np.clip(path[:, joint], -abs(limit), limit if limit > 0 else 2.0)
    return path, gripper


def _jump(made: Made, random: Random) -> Made:
    row, joint, rows = (
        int(random.integers(15, len(made.qpos) - 20)),
        int(random.integers(6)),
        int(random.integers(1, 12)),
    )
    size = _either(random, 0.1, 0.35)
    for values in (made.qpos, made.action):
        values[row : row + rows, joint] += size
    return made


def _another_way(made: Made, random: Random) -> Made:
    t = np.arange(len(made.action))[:, None] / RATE
    waves = sum(np.sin(2 * np.pi * random.uniform(0.4, 1.0, 6) * t + random.uniform(0, 6, 6)) for _ in range(3))
    made.action[:, :6] += (random.uniform(0.08, 0.15) * waves / np.sqrt(3)).astype(np.float32)
    return made


def _again(made: Made, random: Random) -> Made:
    made.qpos += random.normal(0, 1e-3, made.qpos.shape).astype(np.float32)
    made.action += random.normal(0, 1e-3, made.action.shape).astype(np.float32)
    return _noisy(made, random)


def _noisy(made: Made, random: Random) -> Made:
    for name, images in made.images.items():
        made.images[name] = np.clip(images + random.normal(0, 1.0, images.shape), 0, 255).astype(np.uint8)
    return made


def _trimmed(made: Made, random: Random) -> Made:
    first, last = int(random.integers(4, 15)), len(made.qpos) - int(random.integers(4, 15))
    return _cut(made, first, last)


def _cut(made: Made, first: int, last: int) -> Made:
    images = {name: frames[first:last] for name, frames in made.images.items()}
    return replace(made, qpos=made.qpos[first:last], action=made.action[first:last], images=images)


def _failed(made: Made, random: Random) -> Made:
    return replace(_again(made, random), success=not made.success)


def _images(change: Callable[[np.ndarray, Random], np.ndarray]) -> Change:
    """A fault of one of the two cameras."""

    def made(one: Made, random: Random) -> Made:
        name = str(random.choice(sorted(one.images)))
        one.images[name] = np.clip(change(one.images[name].astype(np.float32), random), 0, 255).astype(np.uint8)
        return one

    return made


def _moved(made: Made, random: Random) -> Made:
    far, way = random.uniform(2.5, 7.0), random.uniform(0, 2 * np.pi)
    shift = np.array([[1, 0, far * np.cos(way)], [0, 1, far * np.sin(way)]], np.float32)
    frames = made.images["top"]
    made.images["top"] = np.stack(
        [cv2.warpAffine(f, shift, (f.shape[1], f.shape[0]), borderMode=cv2.BORDER_REFLECT) for f in frames]
    )
    return made


def _exposed(images: np.ndarray, random: Random) -> np.ndarray:
    factor = random.uniform(1.25, 1.5)
    return images * (factor if random.random() < 0.5 else 1 / factor)


def _flicker(images: np.ndarray, random: Random) -> np.ndarray:
    at, factor = int(random.integers(20, len(images) - 20)), random.uniform(1.4, 1.7)
    images[at:] *= factor if random.random() < 0.5 else 1 / factor
    return images


def _blurred(images: np.ndarray, random: Random) -> np.ndarray:
    sigma = random.uniform(0.8, 1.6)
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images])


def _dark(images: np.ndarray, random: Random) -> np.ndarray:
    return images * random.uniform(0.02, 0.12)


def _still(made: Made, random: Random) -> Made:
    joint = int(random.choice([0, 1, 2, 4]))
    for values in (made.qpos, made.action):
        values[:, joint] = values[0, joint]
    return made


def _short(made: Made, random: Random) -> Made:
    return _cut(made, 0, int(random.integers(20, CHUNK)))


def _spelled(made: Made, random: Random) -> Made:
    words = [
        "Put the cube into the bowl.",
        "put the cube in the bowl",
        "put teh cube into the bowl",
        "PUT the cube into the bowl",
    ]
    return replace(made, task=str(random.choice(words)))


KINDS: tuple[Kind, ...] = (
    Kind("far longer (a pause)", ("length",), lead=_pause),
    Kind("broken off", ("length",), made=lambda m, r: _cut(m, 0, int(len(m.qpos) * r.uniform(0.35, 0.6)))),
    Kind("shown slowly", ("speed", "length"), lead=_pace(1.6, 2.2)),
    Kind("shown fast", ("speed", "length"), lead=_pace(0.45, 0.6)),
    Kind("shaking hand", ("jerk",), lead=_shake),
    Kind("ends elsewhere", ("final pose",), demo=_elsewhere),
    Kind("idle start", ("idle start",), demo=_idle(0)),
    Kind("idle end", ("idle end",), demo=_idle(5)),
    Kind("gripper chatter", ("gripper chatter",), lead=_chatter),
    Kind("saturation at a limit", ("saturation",), lead=_at_limit),
    Kind("jump", ("jump",), made=_jump),
    Kind("another way in the same state", ("consistency",), made=_another_way),
    Kind("the same file twice", ("duplicate",), made=lambda m, r: m, twin=True),
    Kind("trimmed copy", ("duplicate",), made=_trimmed, twin=True),
    Kind("near-duplicate", ("duplicate",), made=_again, twin=True),
    Kind("conflicting labels", ("labels",), made=_failed, twin=True),
    Kind("same scene in training and validation", ("same scene",), validation=True),
    Kind("camera moved", ("camera moved",), made=_moved),
    Kind("exposure of another episode", ("exposure",), made=_images(_exposed)),
    Kind("exposure changes within", ("exposure",), made=_images(_flicker)),
    Kind("blurred", ("blur",), made=_images(_blurred)),
    Kind("dark", ("dark",), made=_images(_dark)),
    Kind("task not stated", ("task",), made=lambda m, r: replace(m, task="")),
    Kind("task spelled otherwise", ("task",), made=_spelled),
    Kind("another task among them", ("task",), made=lambda m, r: replace(m, task="fold the towel")),
    Kind("dim without spread in an episode", ("zero spread",), made=_still),
    Kind("shorter than a chunk", ("chunk",), made=_short),
)


@dataclass(frozen=True)
class WholeKind:
    """A fault of the whole set: `demo` and `made` get the episode's place in the session too, 0 to 1, and a seed."""

    name: str
    check: str
    demo: Callable[[Demonstration, float, int], Demonstration] | None = None
    made: Callable[[Made, float, int], Made] | None = None


def _sinking(demo: Demonstration, place: float, seed: int) -> Demonstration:
    start = demo.start.copy()
    start[seed % 6] += 0.08 * place
    return replace(demo, start=start)


def _dead(made: Made, place: float, seed: int) -> Made:
    made.qpos[:, 3] = made.action[:, 3] = 0.25
    return made


WHOLE_KINDS: tuple[WholeKind, ...] = (
    WholeKind("drift of the start pose", "drift", demo=_sinking),
    WholeKind("drift of the light", "drift", demo=lambda d, p, s: replace(d, brightness=d.brightness * (1 - 0.25 * p))),
    WholeKind("dim without spread in the whole set", "zero spread", made=_dead),
)


NAMES = (*(kind.name for kind in KINDS), *(kind.name for kind in WHOLE_KINDS))


@dataclass
class Score:
    """How a kind of fault did: how many were seeded, how many found, and clean episodes beside them: all, flagged."""

    seeded: int = 0
    found: int = 0
    clean: int = 0
    flagged: int = 0

    def add(self, other: Score) -> None:
        """Count another set's in."""
        self.seeded += other.seeded
        self.found += other.found
        self.clean += other.clean
        self.flagged += other.flagged


class CleanSet:
    """A clean set on disk, examined once; faults are seeded into copies of a few of its episodes."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.demos = demonstrations(count, seed)
        for i, demo in enumerate(self.demos):
            write(make(demo, seed), folder / "clean", i)
        self.examined = [examine(folder / "clean", None, i) for i in range(count)]
        self.validation = split_episodes([0] * count, 0.1, 0)[1]

    def report(self, changed: dict[int, Examined] | None = None, count: int | None = None) -> QualityReport:
        """Judge the set, or its first episodes, some of them changed."""
        done = {i: (changed or {}).get(i, examined) for i, examined in enumerate(self.examined[:count])}
        names = [f"episode_{i}" for i in range(len(done))]
        return verdicts_of(self.folder / "clean", "hdf5", names, done, CHUNK, frozenset(self.validation))

    def clean_score(self) -> Score:
        """Of the set as it is."""
        report = self.report()
        return Score(clean=len(report.verdicts), flagged=len(report.ranked))

    def seed_fault(self, kind: Kind, count: int, random: Random) -> Score:
        """Seed a kind of fault into so many episodes, and see which are named, by which of its checks."""
        training = [i for i in range(len(self.demos)) if i not in self.validation]
        places = self.validation if kind.validation else training
        chosen = [int(i) for i in random.choice(places, min(count, len(places)), replace=False)]
        others = [i for i in training if i not in chosen]
        twins = {
            i: int(other) for i, other in zip(chosen, random.choice(others, len(chosen), replace=False), strict=True)
        }
        changed = {i: self._written(self._changed(kind, i, twins[i], random), i) for i in chosen}
        report = self.report(changed)
        involved = {i: {i, twins[i]} if kind.twin else {i} for i in chosen}
        score = Score(seeded=len(chosen))
        for pair in involved.values():
            named = {one.finding.check for i in pair for one in report.verdicts[i].of("error", "warning")}
            score.found += bool(named & set(kind.checks))
        rest = [v for v in report.verdicts if not any(v.number in pair for pair in involved.values())]
        score.clean, score.flagged = len(rest), sum(bool(v.of("error", "warning")) for v in rest)
        return score

    def seed_whole(self, kind: WholeKind, count: int) -> Score:
        """Change all of the first episodes, and see whether a finding of these as a whole set names it."""
        changed = {}
        for i, demo in enumerate(self.demos[:count]):
            place = i / (count - 1)
            shown = deepcopy(demo) if kind.demo is None else kind.demo(deepcopy(demo), place, self.seed)
            made = make(shown, self.seed)
            changed[i] = self._written(made if kind.made is None else kind.made(made, place, self.seed), i)
        named = {one.finding.check for one in self.report(changed, count).whole if one.finding.severity != "info"}
        return Score(seeded=1, found=int(kind.check in named))

    def _changed(self, kind: Kind, number: int, twin: int, random: Random) -> Made:
        demo = deepcopy(self.demos[twin if kind.twin else number])
        if kind.validation:
            demo = replace(demo, target=self.demos[twin].target, start=self.demos[twin].start)
        if kind.demo is not None:
            demo = kind.demo(demo, random)
        lead = kind.lead
        made = make(demo, self.seed, None if lead is None else lambda path, gripper: lead(path, gripper, random))
        return made if kind.made is None else kind.made(made, random)

    def _written(self, made: Made, number: int) -> Examined:
        folder = self.folder / "changed"
        write(made, folder, number)
        (file,) = naming.episodes_in(folder)
        summary, report = examine(file, None, 0)
        shutil.rmtree(folder)
        name = f"episode_{number}"
        return (None if summary is None else replace(summary, number=number, name=name)), report


def matrix(folder: Path, seeds: Sequence[int], episodes: int, faults: int, whole_episodes: int) -> dict[str, Score]:
    """The score of each kind of fault over clean sets of these seeds; `CLEAN` and `WHOLE` are those of none.

    Args:
        folder: for the files.
        seeds: a clean set each.
        episodes: of a clean set. faults: episodes into which a fault is seeded at a time.
        whole_episodes: of a set that is at fault as a whole.
    """
    scores = {CLEAN: Score(), WHOLE: Score(), **{name: Score() for name in NAMES}}
    for seed in seeds:
        clean = CleanSet(folder / f"{seed}", episodes, seed)
        scores[CLEAN].add(clean.clean_score())
        alarms = [one for one in clean.report().whole if one.finding.severity != "info"]
        scores[WHOLE].add(Score(clean=1, flagged=bool(alarms)))
        random = np.random.default_rng([seed, 2])
        for kind in KINDS:
            scores[kind.name].add(clean.seed_fault(kind, faults, random))
        for whole in WHOLE_KINDS:
            scores[whole.name].add(clean.seed_whole(whole, whole_episodes))
        shutil.rmtree(folder / f"{seed}")
    return scores
