"""Checkpoints of a run: `last`, `best` and `step_N` as policies, `resume.pt` to go on from. None is ever half."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError

from vgil_ros.core.files import write_whole
from vgil_ros.episodes.naming import lock_folder
from vgil_ros.policies.base import Policy
from vgil_ros.policies.reference import REFERENCE_FILE, write_reference
from vgil_ros.training.config import TrainConfig, with_absolute_paths
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.run_log import CONFIG, LOG, RESUME

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WORKERS_END_S = 10.0  # the loading processes of a training that was killed hold its folder for a while yet


class Checkpoints:
    """The checkpoints of a run.

    Attributes:
        ranked: (value, step) of those kept, best first; it travels in `resume.pt`.
        reference: what stands as reference of the data beside each; None: nothing does.
    """

    def __init__(self, out: Path, keep: int, *, higher_is_better: bool) -> None:
        self.out, self._keep = out, keep
        self._sign = -1.0 if higher_is_better else 1.0
        self.ranked: list[tuple[float, int]] = []
        self.reference: bytes | None = None

    def _write(self, policy: Policy, name: str) -> None:
        """Write a checkpoint, and the reference of its data beside it."""
        folder = policy.save(self.out / name)
        if self.reference is not None:
            write_reference(self.reference, folder / REFERENCE_FILE)

    def save(self, policy: Policy, step: int, value: float | None) -> None:
        """Write `last`, and `step_N` (and `best`) where `value` is among the best.

        Raises:
            TrainingError: it cannot be written.
        """
        with writing(self.out):
            self._write(policy, "last")
            if value is None or not self._keep:
                return
            ranked = sorted([*self.ranked, (value, step)], key=lambda one: (self._sign * one[0], one[1]))
            kept, gone = ranked[: self._keep], ranked[self._keep :]
            if (value, step) in kept:
                self._write(policy, _name(step))
            if kept[0] == (value, step):
                self._write(policy, "best")
            for _, old in gone:
                shutil.rmtree(self.out / _name(old), ignore_errors=True)
            self.ranked = kept

    def save_state(self, state: dict[str, Any]) -> None:
        """Write what is needed to go on; the older state stands until the new one is whole on disk.

        Raises:
            TrainingError: it cannot be written.
        """
        path = self.out / RESUME
        part = path.with_suffix(".part")
        try:
            with writing(self.out):
                with part.open("wb") as file:
                    torch.save({**state, "ranked": [list(one) for one in self.ranked]}, file)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def load_state(self) -> dict[str, Any]:
        """Read what `save_state` wrote.

        Raises:
            TrainingError: there is none, or it cannot be read.
        """
        path = self.out / RESUME
        if not path.is_file():
            raise TrainingError(
                f"{path}: no such file; the run ended before its first checkpoint: begin it anew, with --out {self.out}"
            )
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds
            raise TrainingError(f"{path}: cannot be read ({error})") from error
        self.ranked = [(float(value), int(step)) for value, step in state["ranked"]]
        for folder in self.out.glob("step_*"):  # written after the state that is gone back to
            if folder.name not in {_name(step) for _, step in self.ranked}:
                shutil.rmtree(folder, ignore_errors=True)
        return state


def as_it_was_chosen(config: TrainConfig, state: Mapping[str, Any], log: Callable[[str], None]) -> TrainConfig:
    """The configuration of a run that goes on: a state that does not name its episodes is of a release that took all.

    Aborted and odd episodes are then among those that it was trained from, and are taken as long as nothing else is
    said of them.
    """
    later = [key for key in ("accept_odd", "aborted") if key not in config.data.model_fields_set]
    if "episodes" in state or not later:
        return config
    said = ", ".join(f"data.{key}=true" for key in later)
    log(f"note: the run was begun by an earlier release, which left no episode out; it goes on with {said}")
    return config.model_copy(update={"data": config.data.model_copy(update=dict.fromkeys(later, True))})


def same_episodes(config: TrainConfig, state: Mapping[str, Any], fingerprint: str, ours: Set[str]) -> str | None:
    """Hold the episodes of a run that goes on against those that it had; what there is to say, or None.

    Args:
        ours: digests of the episodes that are there now.

    Raises:
        TrainingError: they are other ones.
    """
    if state["fingerprint"] == fingerprint:
        return None
    theirs = set(state.get("episodes", ()))
    missing, new = len(theirs - ours), len(ours - theirs)
    fewer = missing > 0 and not new if theirs else True  # an earlier release did not name them: the user's word counts
    if not (config.data.skip_bad and fewer):
        counts = f" ({missing} of its {len(theirs)} episodes are not there, {new} are new)" if theirs else ""
        raise TrainingError(
            f"{config.out}: was trained from data with fingerprint {state['fingerprint']}, the folders now have "
            f"{fingerprint}{counts}; a run goes on with the same episodes alone: --data says where they lie now, "
            "--skip-bad goes on without those that are not there or bad"
        )
    which = (
        f"without {missing} of {len(theirs)} episodes" if theirs else f"with the {len(ours)} episodes that are there"
    )
    return f"goes on {which}; from here on rows are drawn in another order"


def holds_checkpoints(out: Path) -> bool:
    """Whether a run's folder holds anything that was trained."""
    return (out / RESUME).exists() or any((out / name).exists() for name in ("last", "best")) or any(out.glob("step_*"))


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Make a run's folder, and keep other trainings out of it.

    Raises:
        TrainingError: another one is at work there, or it cannot be made.
    """
    if os.environ.get("RANK", "0") != "0":  # the first process of several does it for all
        yield
        return
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    while True:
        try:
            handle = lock_folder(out)
            break
        except BlockingIOError as error:
            if time.monotonic() - began > WORKERS_END_S:
                raise TrainingError(f"{out}: a training is at work there; allowed: one at a time") from error
            time.sleep(0.2)
    try:
        yield
    finally:
        os.close(handle)


def take_folder(out: Path, log: Callable[[str], None]) -> None:
    """Make a run's folder; one of a run that ended before its first checkpoint may be taken anew.

    Raises:
        TrainingError: it holds a run, or it cannot be made.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    if (out / RESUME).exists():
        raise TrainingError(
            f"{out}: holds a run already; go on with `vgil train --resume {out}`, or take another --out"
        )
    if holds_checkpoints(out):
        raise TrainingError(f"{out}: holds checkpoints, and no {RESUME} to go on from; take another --out")
    if (out / LOG).exists():
        log(f"{out}: holds a run that ended before its first checkpoint; it is begun anew")
        (out / LOG).unlink(missing_ok=True)  # each process of several comes by here


def prepare_folder(config: TrainConfig, weights: int) -> None:
    """Write a run's configuration, and see that its checkpoints have room; `weights` in bytes.

    Raises:
        TrainingError: they have none, or nothing can be written.
    """
    out = config.out
    with writing(out):
        state = 4 * weights  # weights, mean, two moments
        # last, best, the kept ones and one in the making; the state, and one in the making
        needed = weights * (config.checkpoint.keep + 3) + 2 * state
        need_room(out, max(needed - _held(out), weights + state))
        text = yaml.safe_dump(with_absolute_paths(config).model_dump(mode="json"), sort_keys=False)
        write_whole(out / CONFIG, text)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Say in words why something could not be written to the run's folder."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if _is_full(error) or _free(out) < 1 << 20:
            raise TrainingError(
                f"{out}: no room left on the disk ({_free(out) >> 20} MiB free); what was saved before is whole: free "
                f"some and go on with `vgil train --resume {out}`"
            ) from error
        if isinstance(error, OSError):
            raise TrainingError(f"{out}: cannot be written ({error.strerror or error})") from error
        raise


def _is_full(error: BaseException | None) -> bool:
    """Whether a disk or quota that is full is behind an error; safetensors and torch have it in their words alone."""
    while error is not None:
        if getattr(error, "errno", None) in NO_ROOM or any(os.strerror(n) in str(error) for n in NO_ROOM):
            return True
        error = error.__cause__ or error.__context__
    return False


def need_room(out: Path, needed: int) -> None:
    """Raise TrainingError unless `needed` bytes are free where `out` is."""
    if _free(out) < needed:
        raise TrainingError(
            f"{out}: {_free(out) >> 20} MiB free on the disk; the checkpoints of this run need {needed >> 20} MiB"
        )


def _held(out: Path) -> int:
    """Bytes of a run's checkpoints and state, which later ones take the place of."""
    files = [out / RESUME, *(file for name in ("last", "best", "step_*") for file in out.glob(f"{name}/**/*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


def _free(out: Path) -> int:
    return shutil.disk_usage(out).free


def _name(step: int) -> str:
    return f"step_{step:08d}"
