"""Made-up data sets: an arm that reaches for an object, carries it, and lets it go, with a person's natural variation.

Everything follows from a seed. Images are 48x64: a table with an object and the arm from above, and the wrist's view.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path

import cv2
import dm_env
import numpy as np

from vgil_ros.core.contract import parse_contract
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import Flag, streams_of
from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeWriter, h5

RATE, HEIGHT, WIDTH = 25.0, 48, 64
APART, TRIES = 0.15, 40  # between the places of the object: three pixels
TASK = "put the cube into the bowl"
BEGAN = datetime(2026, 5, 1, tzinfo=timezone.utc)
START_NS = 1_700_000_000_000_000_000
CONTRACT = """name: made
rate_hz: 25
arms:
  - name: arm
    puppet: {topic: /puppet/joint_states}
    master: {topic: /master/joint_states}
    command: {topic: /puppet/command, type: joint_state}
    joints: [waist, shoulder, elbow, forearm_roll, wrist_angle, wrist_rotate, gripper]
    limits:
      lower: [-2.0, -1.8, -1.7, -2.0, -1.8, -2.0, 0.0]
      upper: [2.0, 1.2, 1.3, 2.0, 1.8, 2.0, 1.0]
      velocity: [6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 50.0]
    home: [0.0, -0.9, 1.0, 0.0, -0.3, 0.0, 1.0]
    gripper: {joint: gripper, puppet_range: [0.0, 1.0], master_range: [0.0, 1.0]}
cameras:
  - {name: top, topic: /top, height: 48, width: 64}
  - {name: wrist, topic: /wrist, height: 48, width: 64}
"""
HOME = np.array([0.0, -0.9, 1.0, 0.0, -0.3, 0.0])
PLACE = np.array([-0.7, -0.1, 0.5, 0.1, 0.4, -0.2])


@dataclass
class Demonstration:
    """What one demonstration is made from.

    Attributes:
        target: (2,) where the object lies, -1 to 1 each.
        rows: of waiting, reaching, closing, carrying, opening, waiting.
        start, end: (6,) rad, where the arm begins and ends.
        wobble: (6, 2, 3) amplitude rad, frequency Hz, phase of two sines a joint.
        brightness: of the images. seed: of noise.
    """

    target: np.ndarray
    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray
    wobble: np.ndarray
    brightness: float
    seed: int


@dataclass
class Made:
    """An episode before it is written: (T, 7) numbers, (T, H, W, 3) images by camera."""

    qpos: np.ndarray
    action: np.ndarray
    images: dict[str, np.ndarray]
    task: str = TASK
    success: bool = True
    attributes: dict[str, str] = field(default_factory=dict)


def draw(random: np.random.Generator) -> Demonstration:
    """A clean demonstration."""
    amplitude = random.normal(0, 0.006, (6, 2))
    waves = np.stack([amplitude, random.uniform(0.3, 1.2, (6, 2)), random.uniform(0, 6.3, (6, 2))], axis=-1)
    pace = np.exp(random.normal(0, 0.04))
    rows = np.array([5, 38 * pace, 8, 36 * pace, 8, 6]) + random.normal(0, [1.2, 2, 1, 2, 1, 1.2])
    return Demonstration(
        target=random.uniform(-1, 1, 2),
        rows=np.maximum(np.rint(rows), 2).astype(int),
        start=HOME + random.normal(0, 0.008, 6),
        end=PLACE + random.normal(0, 0.012, 6),
        wobble=waves,
        brightness=float(np.exp(random.normal(0, 0.02))),
        seed=int(random.integers(1 << 31)),
    )


def path_of(demo: Demonstration) -> tuple[np.ndarray, np.ndarray]:
    """(T, 6) rad of the leader's joints, (T,) of its gripper, 0 closed to 1 open."""
    x, y = demo.target
    reach = np.array([0.5 * x, -0.2 + 0.25 * y, 0.6 - 0.3 * y, 0.2 * x, 0.3 + 0.1 * y, 0.3 * x])
    wait, out, close, carry, release, rest = demo.rows.tolist()
    joints = [np.repeat(demo.start[None], wait, axis=0), _smooth(demo.start, reach, out)]
    joints += [np.repeat(reach[None], close, axis=0), _smooth(reach, demo.end, carry)]
    joints += [np.repeat(demo.end[None], release + rest, axis=0)]
    path = np.concatenate(joints)
    t = np.arange(len(path)) / RATE
    waves = (
        demo.wobble[..., 0] * np.sin(2 * np.pi * demo.wobble[..., 1] * t[:, None, None] + demo.wobble[..., 2])
    ).sum(-1)
    active = np.zeros(len(path))
    active[wait : len(path) - rest] = np.sin(np.pi * np.linspace(0, 1, len(path) - rest - wait)) ** 0.5
    gripper = np.ones(len(path))
    gripper[wait + out : wait + out + close] = np.linspace(1, 0, close)
    gripper[wait + out + close :] = 0
    gripper[wait + out + close + carry :][:release] = np.linspace(0, 1, release)
    gripper[wait + out + close + carry + release :] = 1
    return path + waves * active[:, None], gripper


def _smooth(a: np.ndarray, b: np.ndarray, rows: int) -> np.ndarray:
    """(rows, D) of a minimum-jerk motion."""
    s = np.linspace(0, 1, rows)[:, None]
    result: np.ndarray = a + (b - a) * (10 * s**3 - 15 * s**4 + 6 * s**5)
    return result


def followed(path: np.ndarray, gripper: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(qpos, action), (T, 7) each: the follower lags behind its leader, both with their encoders' noise."""
    action = np.concatenate([path, gripper[:, None]], axis=1)
    qpos = np.empty_like(action)
    state = action[0]
    for t, wanted in enumerate(action):
        qpos[t] = state
        state = state + 0.5 * (wanted - state)
    noise = random.normal(0, 4e-4, (2, *action.shape))
    return qpos + noise[0], action + noise[1]


@lru_cache(maxsize=8)
def backgrounds(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two textured images (H, W, 3): of the table, and of the room as the wrist sees it."""
    random = np.random.default_rng(seed)
    found = []
    for size in ((HEIGHT, WIDTH), (2 * HEIGHT, 2 * WIDTH)):
        base = cv2.GaussianBlur(random.normal(0, 1, (*size, 3)).astype(np.float32), (0, 0), 5)
        picture = np.clip(110 + 30 * base / base.std(), 20, 220)
        for _ in range(10):
            x, y = int(random.integers(size[1] - 8)), int(random.integers(size[0] - 8))
            colour = [float(c) for c in random.uniform(40, 200, 3)]
            cv2.rectangle(
                picture, (x, y), (x + int(random.integers(4, 16)), y + int(random.integers(4, 12))), colour, -1
            )
        found.append(picture.astype(np.float32))
    return found[0], found[1]


def images_of(demo: Demonstration, qpos: np.ndarray, place: int) -> dict[str, np.ndarray]:
    """What both cameras see; `place` is the seed of the room."""
    table, room = backgrounds(place)
    random = np.random.default_rng(demo.seed)
    noise = random.normal(0, 2, (16, HEIGHT, WIDTH, 3)).astype(np.float32)
    held, laid = np.zeros(2), np.array([12 + 20 * (demo.target[0] + 1), 8 + 12 * (demo.target[1] + 1)])
    grasped, freed = int(demo.rows[:3].sum()), int(demo.rows[:4].sum())
    top, wrist = [], []
    for t, q in enumerate(qpos):
        tip = np.array([32 + 30 * q[0], 40 - 22 * (q[1] + 1.0)])
        if grasped <= t < freed:
            held = tip
        at = laid if t < grasped else held
        picture = table.copy()
        cv2.rectangle(picture, _pixel(at - 2), _pixel(at + 2), (200.0, 40.0, 40.0), -1)
        cv2.line(picture, (32, HEIGHT), _pixel(tip), (225.0, 225.0, 225.0), 2)
        cv2.circle(picture, _pixel(tip), 2, (20.0, 20.0, 20.0), -1)
        top.append(picture)
        x, y = int(32 + 20 * np.clip(q[0], -1.5, 1.5)), int(24 + 16 * np.clip(q[4], -1.4, 1.4))
        view = room[y : y + HEIGHT, x : x + WIDTH].copy()
        wide = round(6 + 14 * float(np.clip(q[6], 0, 1)))
        cv2.rectangle(view, (32 - wide - 4, 38), (32 - wide, 47), (30.0, 30.0, 30.0), -1)
        cv2.rectangle(view, (32 + wide, 38), (32 + wide + 4, 47), (30.0, 30.0, 30.0), -1)
        wrist.append(view)
    order = random.integers(16, size=(2, len(qpos)))
    return {
        name: np.clip(demo.brightness * np.stack(frames) + noise[order[i]], 0, 255).astype(np.uint8)
        for i, (name, frames) in enumerate((("top", top), ("wrist", wrist)))
    }


def _pixel(at: np.ndarray) -> tuple[int, int]:
    return round(float(at[0])), round(float(at[1]))


def make(
    demo: Demonstration,
    place: int,
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Made:
    """Follow a demonstration; `change` takes and gives the leader's path and gripper."""
    random = np.random.default_rng([demo.seed, 1])
    path, gripper = path_of(demo)
    if change is not None:
        path, gripper = change(path, gripper)
    qpos, action = followed(path, gripper, random)
    return Made(qpos.astype(np.float32), action.astype(np.float32), images_of(demo, qpos, place))


@lru_cache(maxsize=2)
def _meta(contract: bool) -> EpisodeMeta:
    parsed = parse_contract(CONTRACT, "made")
    cameras = tuple(CameraMeta(name, HEIGHT, WIDTH) for name in ("top", "wrist"))
    streams = tuple(stream.name for stream in streams_of(parsed))
    return EpisodeMeta(
        "made", CONTRACT if contract else "none", RATE, streams, Layout(parsed).joint_names, cameras, task=TASK
    )


def write(made: Made, folder: Path, number: int, *, contract: bool = True) -> Path:
    """Write an episode, as recorded a minute after the one before it; `number` says when, the folder its name."""
    meta = _meta(contract)
    writer = EpisodeWriter(folder, meta, min_free_bytes=0)
    zeros = np.zeros(len(meta.streams), np.int64)
    flags = np.full(len(meta.streams), Flag.NEAREST)
    rows = len(made.qpos)
    for t in range(rows + 1):
        at = min(t, rows - 1)
        seen = OrderedDict(qpos=made.qpos[at], images=OrderedDict((n, i[at]) for n, i in made.images.items()))
        step = dm_env.restart(seen) if t == 0 else dm_env.transition(0.0, seen)
        if t == rows:
            step = dm_env.termination(0.0, seen)
        stamp = START_NS + number * 60_000_000_000 + t * round(1e9 / RATE)
        writer.append(step, None if t == rows else made.action[at], stamp_ns=stamp, skew_ns=zeros, flags=flags)
    path = writer.close(success=made.success)
    with h5.amend(path) as file:
        file.attrs["task"] = made.task
        file.attrs["created"] = (BEGAN + timedelta(minutes=number)).isoformat()
        for key, value in made.attributes.items():
            file.attrs[key] = value
    return path


def demonstrations(count: int, seed: int) -> list[Demonstration]:
    """As many clean demonstrations, no two of one scene as far as there is room."""
    random = np.random.default_rng(seed)
    found: list[Demonstration] = []
    for _ in range(count):
        for _ in range(TRIES):
            demo = draw(random)
            if all(np.hypot(*(demo.target - other.target)) > APART for other in found):
                break
        found.append(demo)
    return found


def write_clean(folder: Path, count: int, seed: int, *, contract: bool = True) -> list[Path]:
    """Write a clean set, and return its files."""
    return [write(make(demo, seed), folder, i, contract=contract) for i, demo in enumerate(demonstrations(count, seed))]
