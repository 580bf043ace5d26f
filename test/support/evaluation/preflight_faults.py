"""Starts of simulated robots, healthy and with one fault each, and what a preflight says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import mujoco
import numpy as np

from vgil_ros.assets import checkpoint_path, load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.datasets.source import open_source
from vgil_ros.evaluation.preflight.findings import Case, Finding, Latency, Seen, Subject
from vgil_ros.evaluation.preflight.joints import gripper_columns
from vgil_ros.evaluation.preflight.judge import judge
from vgil_ros.policies import CameraSpec, PolicyConfig, load_policy
from vgil_ros.policies.compatibility import compare_with_contract, compare_with_robot, profile_of
from vgil_ros.policies.inference.opening import Runner, make_runner
from vgil_ros.policies.reference import REFERENCE_FILE, DataReference, read_reference
from vgil_ros.robots.robot_check import Verdict
from vgil_ros.robots.sim.robot import SimRobot

IMAGES, APART_S = 4, 0.1  # of each camera, and the time between them
FPS = 30.0
HEALTHY = Latency(0.05, 0.06, 12)


class Stand:
    """A simulated robot with the reference of a policy, and the policy itself or, in its place, recorded actions.

    Args:
        robot, task: what is simulated.
        reference: of the policy's training data.
        checkpoint: the policy; None: `actions` stand in for its answers.
        actions: (N, H, A) of episodes that the reference does not hold.
    """

    def __init__(
        self,
        robot: str,
        task: str,
        reference: DataReference,
        checkpoint: str | None = None,
        actions: np.ndarray | None = None,
    ) -> None:
        self.layout = Layout(load_contract(robot)[0])
        self.reference, self._actions = reference, actions
        self.sim = SimRobot(self.layout.contract, task)
        self.cameras = self.layout.image_names
        self._usual = [(values, values.copy()) for values in _altered(self.sim.model)]
        self._runner: Runner | None = None
        if checkpoint is None:
            spread = {"mean": reference.action.mean, "std": np.maximum(reference.action.std, 1e-2)}
            state = {"mean": reference.qpos.mean, "std": np.maximum(reference.qpos.std, 1e-2)}
            self.config, self._scales = stand_in(self.layout, reference.fingerprint), {"qpos": state, "action": spread}
            self._mismatches = lambda layout: compare_with_contract(self.config, profile_of(layout))
        else:
            policy = load_policy(checkpoint_path(checkpoint))
            self.config = policy.config
            parts = {"qpos": policy.normalizer.qpos, "action": policy.normalizer.action}
            self._scales = {what: {"mean": p.mean.numpy(), "std": p.std.numpy()} for what, p in parts.items()}
            self._mismatches = lambda layout: compare_with_robot(policy, layout)
            self._runner = make_runner(policy, self.layout)

    def seen(self, seed: int, change: Callable[[Any], None] | None = None) -> Seen:
        """A start: the arms at home, the task's things where the seed puts them.

        Args:
            change: of the MuJoCo model, before it is looked at.
        """
        for values, usual in self._usual:
            values[:] = usual
        if change is not None:
            change(self.sim.model)
        self.sim.reset(seed)
        images: dict[str, list[np.ndarray]] = {name: [] for name in self.cameras}
        qpos = []
        for _ in range(IMAGES):
            self.sim.step(APART_S)
            qpos.append(self._qpos())
            for name in self.cameras:
                images[name].append(np.ascontiguousarray(self.sim.render(name)))
        seen = {name: np.stack(ones) for name, ones in images.items()}
        return Seen(f"seed {seed}", np.stack(qpos), seen, (), {}, dict.fromkeys(self.cameras, FPS))

    def _qpos(self) -> np.ndarray:
        parts = [arm.state.normalise(self.sim.joint_states(arm.arm.name).position) for arm in self.layout.arms]
        return np.concatenate(parts)

    def subject(self, seed: int, seen: Seen) -> Subject:
        """The policy, and its answer to what it sees."""
        last = {name: images[-1] for name, images in seen.images.items()}
        if self._runner is not None:
            chunk = self._runner({"qpos": seen.qpos[-1].astype(np.float32), "images": last})
        else:
            assert self._actions is not None
            chunk = self._actions[seed % len(self._actions)]
        return Subject(self.config, self.layout, self._mismatches(self.layout), (), self._scales, HEALTHY, chunk[None])

    def run_at(self, subject: Subject, rate_hz: float) -> Subject:
        """The same policy on a robot of another rate."""
        layout = Layout(self.layout.contract.model_copy(update={"rate_hz": rate_hz}))
        return replace(subject, layout=layout, mismatches=self._mismatches(layout))

    def close(self) -> None:
        """Free what draws."""
        self.sim.close()


def _altered(model: Any) -> list[np.ndarray]:
    """The parts of a MuJoCo model that faults alter."""
    light = model.vis.headlight
    return [model.cam_pos, model.cam_quat, model.light_diffuse, light.diffuse, light.ambient]


def stand_in(layout: Layout, fingerprint: str) -> PolicyConfig:
    """The configuration of a policy that was trained on this robot."""
    cameras = tuple(CameraSpec(name=c.name, height=c.height, width=c.width) for c in layout.contract.cameras)
    return PolicyConfig(
        type="act",
        state_dim=layout.dim,
        action_dim=layout.dim,
        chunk_size=100,
        cameras=cameras,
        joint_names=layout.joint_names,
        rate_hz=layout.contract.rate_hz,
        fingerprint=fingerprint,
    )


def shipped_stand() -> Stand:
    """sim_single with the shipped checkpoint and its reference."""
    name = "sim_pick_place_act"
    return Stand("sim_single", "pick_place", read_reference(checkpoint_path(name) / REFERENCE_FILE), name)


def recorded_stand(robot: str, task: str, reference: DataReference, others: Path, horizon: int = 100) -> Stand:
    """A robot with the reference of its episodes; first actions of `others` stand in for a policy's answers."""
    source = open_source(others)
    actions = []
    for number in range(len(source.names())):
        with source.open(number) as episode:
            actions.append(episode.aligned_action()[:horizon].astype(np.float32))
    return Stand(robot, task, reference, actions=np.stack(actions))


@dataclass
class Start:
    """A start that is being spoiled: what was seen, and the policy."""

    stand: Stand
    seed: int
    rng: np.random.Generator
    seen: Seen
    subject: Subject | None = None  # made of what is seen, where it is not given

    def images(self, name: str, alter: Callable[[np.ndarray], np.ndarray]) -> None:
        """Alter each image of a camera."""
        altered = np.stack([alter(image) for image in self.seen.images[name]])
        self.seen = replace(self.seen, images={**self.seen.images, name: altered})

    def qpos(self, alter: Callable[[np.ndarray], np.ndarray]) -> None:
        """Alter qpos (T, D)."""
        self.seen = replace(self.seen, qpos=alter(self.seen.qpos.copy()))

    def camera(self) -> str:
        """One of the cameras."""
        return str(self.rng.choice(self.stand.cameras))

    def made(self) -> Subject:
        """The policy, asked about what is seen."""
        return self.subject or self.stand.subject(self.seed, self.seen)


@dataclass(frozen=True)
class Named:
    """What should be said: the check, and what it is about."""

    check: str
    about: str = ""


Fault = Callable[[Start], Named]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """Register a kind of fault."""

    def register(make: Fault) -> Fault:
        FAULTS[name] = make
        return make

    return register


# ---- cameras


@fault("two cameras swapped")
def _swapped(start: Start) -> Named:
    one, other = start.rng.permutation(start.stand.cameras)[:2].tolist()
    images = start.seen.images
    start.seen = replace(start.seen, images={**images, one: images[other], other: images[one]})
    return Named("camera order", ", ".join(name for name in start.stand.cameras if name in (one, other)))


@fault("red and blue exchanged")
def _bgr(start: Start) -> Named:
    name = start.camera()
    start.images(name, lambda image: np.ascontiguousarray(image[..., ::-1]))
    return Named("colour order", name)


def _look_again(start: Start, change: Callable[[Any], None]) -> None:
    start.seen = start.stand.seen(start.seed, change)
    a_day(start)


def _signed(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high) * rng.choice([-1, 1]))


def _turn(start: Start, axis: int) -> Named:
    name, angle = start.camera(), np.radians(_signed(start.rng, 4.0, 7.0))
    turn, axes = np.zeros(4), np.eye(3)

    def change(model: Any) -> None:
        number = model.camera(name).id
        mujoco.mju_axisAngle2Quat(turn, axes[axis], angle)
        made = np.zeros(4)
        mujoco.mju_mulQuat(made, model.cam_quat[number].copy(), turn)
        model.cam_quat[number] = made

    _look_again(start, change)
    return Named("camera moved", name)


@fault("camera turned about its axis by 4 to 7 degrees")
def _rolled(start: Start) -> Named:
    return _turn(start, 2)


@fault("camera turned aside by 4 to 7 degrees")
def _panned(start: Start) -> Named:
    return _turn(start, int(start.rng.integers(2)))


@fault("camera shifted by 2 to 4 cm")
def _pushed(start: Start) -> Named:
    name, far = start.camera(), _signed(start.rng, 0.02, 0.04)

    def change(model: Any) -> None:
        number = model.camera(name).id
        side, matrix = np.array([far, 0.0, 0.0]), np.zeros(9)
        mujoco.mju_quat2Mat(matrix, model.cam_quat[number])
        model.cam_pos[number] += matrix.reshape(3, 3) @ side

    _look_again(start, change)
    return Named("camera moved", name)


@fault("image upside down")
def _over(start: Start) -> Named:
    name = start.camera()
    start.images(name, lambda image: np.ascontiguousarray(image[::-1, ::-1]))
    return Named("camera turned over", name)


def _gain(start: Start, low: float, high: float, check: str) -> Named:
    name, gain = start.camera(), start.rng.uniform(low, high)
    start.images(name, lambda image: np.clip(image * gain, 0, 255).astype(np.uint8))
    return Named(check, name)


@fault("dimmed to 35 to 70 %")
def _dim(start: Start) -> Named:
    return _gain(start, 0.35, 0.7, "dimmed light")


@fault("exposed 1.4 to 1.9 times as long")
def _bright(start: Start) -> Named:
    return _gain(start, 1.4, 1.9, "bright light")


@fault("lamps at 30 to 60 %")
def _lamps(start: Start) -> Named:
    share = start.rng.uniform(0.3, 0.6)

    def change(model: Any) -> None:
        model.light_diffuse[:] *= share
        model.vis.headlight.diffuse[:] *= share
        model.vis.headlight.ambient[:] *= share

    _look_again(start, change)
    return Named("dimmed light", "*")


@fault("blurred by 1.2 to 3 pixels")
def _blurred(start: Start) -> Named:
    name, sigma = start.camera(), start.rng.uniform(1.2, 3.0)
    start.images(name, lambda image: cv2.GaussianBlur(image, (0, 0), sigma))
    return Named("blur", name)


@fault("frozen camera")
def _stuck(start: Start) -> Named:
    name = start.camera()
    first = start.seen.images[name][0]
    start.images(name, lambda image: first)
    return Named("frozen camera", name)


@fault("a third of the view covered")
def _covered(start: Start) -> Named:
    name, side = start.camera(), int(start.rng.integers(2))

    def cover(image: np.ndarray) -> np.ndarray:
        made, wide = image.copy(), image.shape[1] // 3
        part = slice(0, wide) if side else slice(-wide, None)
        made[:, part] = (image[:, part].mean(axis=(0, 1)) * 0.6).astype(np.uint8)
        return made

    start.images(name, cover)
    return Named("scene", name)


@fault("a camera of 12 to 16 images a second")
def _slow(start: Start) -> Named:
    name = start.camera()
    start.seen = replace(start.seen, fps={**start.seen.fps, name: float(start.rng.uniform(12.0, 16.0))})
    return Named("stream rate", name)


# ---- joints


@fault("another gripper range")
def _range(start: Start) -> Named:
    column = int(start.rng.choice(gripper_columns(start.stand.layout)))
    scale, off = start.rng.uniform(0.4, 0.8), start.rng.uniform(-0.2, 0.0)

    def alter(qpos: np.ndarray) -> np.ndarray:
        qpos[:, column] = qpos[:, column] * scale + off
        return qpos

    start.qpos(alter)
    return Named("gripper range", start.stand.layout.joint_names[column])


@fault("gripper's closed and open exchanged")
def _inverted(start: Start) -> Named:
    column = int(start.rng.choice(gripper_columns(start.stand.layout)))

    def alter(qpos: np.ndarray) -> np.ndarray:
        qpos[:, column] = 1.0 - qpos[:, column]
        return qpos

    start.qpos(alter)
    return Named("gripper range", start.stand.layout.joint_names[column])


def _standing(start: Start) -> np.ndarray:
    """Joints of arms that do not stand at zero: those whose sign shows."""
    layout = start.stand.layout
    arms = [i for i in range(layout.joints) if i not in gripper_columns(layout)]
    return np.array([i for i in arms if abs(start.seen.qpos[0, i]) > 0.2])


@fault("a joint's sign (of those that do not stand at zero)")
def _sign(start: Start) -> Named:
    column = int(start.rng.choice(_standing(start)))

    def alter(qpos: np.ndarray) -> np.ndarray:
        qpos[:, column] *= -1
        return qpos

    start.qpos(alter)
    return Named("joint sign", start.stand.layout.joint_names[column])


@fault("a joint's zero 90 degrees off")
def _zero(start: Start) -> Named:
    layout = start.stand.layout
    arms = [i for i in range(layout.joints) if i not in gripper_columns(layout)]
    column, by = int(start.rng.choice(arms)), float(start.rng.choice([-1, 1])) * np.pi / 2

    def alter(qpos: np.ndarray) -> np.ndarray:
        qpos[:, column] += by
        return qpos

    start.qpos(alter)
    return Named("joint zero", layout.joint_names[column])


@fault("two joints in each other's place (that stand differently)")
def _order(start: Start) -> Named:
    layout, at = start.stand.layout, start.seen.qpos[0]
    arm = layout.arms[int(start.rng.integers(len(layout.arms)))]
    own = [i for i in range(arm.columns.start, arm.columns.stop) if i != arm.gripper_column]
    pairs = [(i, j) for i in own for j in own if i < j and abs(at[i] - at[j]) > 0.2]
    one, other = pairs[int(start.rng.integers(len(pairs)))]

    def alter(qpos: np.ndarray) -> np.ndarray:
        qpos[:, [one, other]] = qpos[:, [other, one]]
        return qpos

    start.qpos(alter)
    return Named("joint order", f"{layout.joint_names[one]}, {layout.joint_names[other]}")


@fault("joints in degrees")
def _degrees(start: Start) -> Named:
    grippers = gripper_columns(start.stand.layout)

    def alter(qpos: np.ndarray) -> np.ndarray:
        for i in range(qpos.shape[1]):
            if i not in grippers:
                qpos[:, i] = np.degrees(qpos[:, i])
        return qpos

    start.qpos(alter)
    return Named("joint units", "*")


# ---- the policy


@fault("stale statistics")
def _stale(start: Start) -> Named:
    subject = start.made()
    what = str(start.rng.choice(["qpos", "action"]))
    mean, std = subject.scales[what]["mean"].copy(), subject.scales[what]["std"].copy()
    some = start.rng.random(len(mean)) < 0.5
    some[int(start.rng.integers(len(mean)))] = True
    mean[some] += std[some] * start.rng.choice([-1, 1], int(some.sum())) * start.rng.uniform(0.7, 2.0)
    start.subject = replace(subject, scales={**subject.scales, what: {"mean": mean, "std": std}})
    return Named("statistics")


@fault("a robot of another rate (20, 25, 30, 40 Hz)")
def _rate(start: Start) -> Named:
    start.subject = start.stand.run_at(start.made(), float(start.rng.choice([20.0, 25.0, 30.0, 40.0])))
    return Named("rate")


@fault("chunks of half or double the rate")
def _chunks(start: Start) -> Named:
    subject = start.made()
    assert subject.chunks is not None
    chunk = subject.chunks[0]
    rows = np.arange(len(chunk)) * 0.5
    if start.rng.random() < 0.5:
        rows = np.arange(len(chunk) // 2) * 2.0
    columns = [np.interp(rows, np.arange(len(chunk)), column) for column in chunk.T]
    start.subject = replace(subject, chunks=np.stack(columns, axis=1)[None].astype(np.float32))
    return Named("chunk rate")


@fault("slow inference")
def _late(start: Start) -> Named:
    start.subject = replace(start.made(), latency=Latency(0.35, 0.5, 12))
    return Named("latency")


# ---- counting


def a_day(start: Start) -> None:
    """What differs from day to day and is no fault: light by 4 %, joints by a degree, views by a pixel, JPEG."""
    rng = start.rng
    for name in start.stand.cameras:
        gain, (dx, dy) = rng.uniform(0.96, 1.04), rng.uniform(-1, 1, 2)
        quality = int(rng.integers(75, 95))

        def alter(image: np.ndarray, gain: float = gain, move: tuple[float, float] = (dx, dy), q: int = quality) -> Any:
            warp = np.array([[1, 0, move[0]], [0, 1, move[1]]])
            lit = np.clip(image * gain, 0, 255).astype(np.uint8)
            moved = cv2.warpAffine(lit, warp, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
            return cv2.imdecode(cv2.imencode(".jpg", moved, [cv2.IMWRITE_JPEG_QUALITY, q])[1], cv2.IMREAD_COLOR)

        start.images(name, alter)
    start.qpos(lambda qpos: qpos + rng.normal(0, 0.017, qpos.shape[1]) * ~_is_gripper(start.stand.layout))


def _is_gripper(layout: Layout) -> np.ndarray:
    columns = np.zeros(layout.dim, bool)
    columns[list(gripper_columns(layout))] = True
    return columns


@dataclass
class Score:
    """How often a kind was seeded, called no-go, and named: that check for that camera or joint, and no other."""

    seeded: int = 0
    found: int = 0
    named: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Count another's too."""
        self.seeded, self.found, self.named = (
            self.seeded + other.seeded, self.found + other.found, self.named + other.named
        )  # fmt: skip
        self.wrong += other.wrong


def against(start: Start) -> list[Finding]:
    """What a preflight has against a start."""
    case = Case(start.made(), start.stand.reference, start.seen)
    return [finding for finding in judge(case) if finding.verdict is Verdict.NO_GO]


def healthy(stand: Stand, seeds: range, *, day: bool) -> Score:
    """Healthy starts: `found` counts those that are called no-go."""
    score = Score()
    for seed in seeds:
        start = Start(stand, seed, np.random.default_rng(seed), stand.seen(seed))
        if day:
            a_day(start)
        found = against(start)
        score.seeded += 1
        score.found += bool(found)
        score.wrong += [f"seed {seed}: {finding}" for finding in found]
    return score


def seeded(stand: Stand, kind: str, seeds: range) -> Score:
    """Starts with a fault, on top of a day's differences."""
    score = Score()
    for seed in seeds:
        start = Start(stand, seed, np.random.default_rng([seed, *kind.encode()]), stand.seen(seed))
        a_day(start)
        expected = FAULTS[kind](start)
        found = against(start)
        right = bool(found) and all(_is(expected, finding) for finding in found)
        score.seeded += 1
        score.found += bool(found)
        score.named += right
        if not right:
            said = "; ".join(map(str, found)) or "nothing"
            score.wrong.append(f"seed {seed}, {expected.check} {expected.about}: {said}")
    return score


def _is(expected: Named, finding: Finding) -> bool:
    about = expected.about in ("", "*") or finding.about == expected.about
    return finding.check == expected.check and about


def matrix(stands: Mapping[str, Stand], seeds: range) -> Iterator[tuple[str, str, Score]]:
    """(kind, stand, score) of every kind of fault."""
    for kind in FAULTS:
        for name, stand in stands.items():
            yield kind, name, seeded(stand, kind, seeds)
