"""Checkpoints of a run: `last`, `best` and `step_N` as policies, `resume.pt` to go on from. None is ever half."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from vgil_ros.policies.base import Policy
from vgil_ros.training.errors import TrainingError

RESUME = "resume.pt"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Checkpoints:
    """The checkpoints of a run. `ranked` holds (value, step) of those kept, best first; it travels in `resume.pt`."""

    def __init__(self, out: Path, keep: int, *, higher_is_better: bool) -> None:
        self.out, self._keep = out, keep
        self._sign = -1.0 if higher_is_better else 1.0
        self.ranked: list[tuple[float, int]] = []

    def save(self, policy: Policy, step: int, value: float | None) -> None:
        """Write `last`, and `step_N` (and `best`) where `value` is among the best.

        Raises:
            TrainingError: it cannot be written.
        """
        with writing(self.out):
            policy.save(self.out / "last")
            if value is None or not self._keep:
                return
            ranked = sorted([*self.ranked, (value, step)], key=lambda one: (self._sign * one[0], one[1]))
            kept, gone = ranked[: self._keep], ranked[self._keep :]
            if (value, step) in kept:
                policy.save(self.out / _name(step))
            if kept[0] == (value, step):
                policy.save(self.out / "best")
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
            raise TrainingError(f"{path}: no such file; a run can be resumed after its first checkpoint")
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds
            raise TrainingError(f"{path}: cannot be read ({error})") from error
        self.ranked = [(float(value), int(step)) for value, step in state["ranked"]]
        for folder in self.out.glob("step_*"):  # written after the state that is gone back to
            if folder.name not in {_name(step) for _, step in self.ranked}:
                shutil.rmtree(folder, ignore_errors=True)
        return state


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


def _free(out: Path) -> int:
    return shutil.disk_usage(out).free


def _name(step: int) -> str:
    return f"step_{step:08d}"
