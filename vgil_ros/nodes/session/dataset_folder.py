"""The folder that episodes go to: whether one can be started there, and what others it holds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from vgil_ros.core.contract import Contract
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.same_setup import differences, setup_of_contract, setup_of_episode
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.writing import disk
from vgil_ros.nodes.base.alerts import Problem

FRESH_S = 1.0  # an answer stands for so long


class DatasetFolder:
    """Looks at a folder now and then, and says what stands against starting an episode in it.

    Attributes:
        warnings: what is said in each file because the folder holds episodes of another set-up, and goes on all the
            same.
    """

    def __init__(
        self, folder: Path, contract: Contract, needed: int, clock: Callable[[], float], *, go_on: bool = False
    ) -> None:
        """Look at what is there.

        Args:
            folder: where episodes go; it need not exist.
            contract: of the robot that is recorded.
            needed: bytes that are to be free to start.
            clock: seconds, never set back.
            go_on: whether a folder of another set-up is continued.
        """
        self.folder, self._needed, self._clock, self._go_on = folder, needed, clock, go_on
        self._setup = setup_of_contract(contract)
        self._answer: tuple[Problem, ...] = ()
        self._until = float("-inf")
        self._tried = False
        self._others = self._look_at_others()
        self.warnings = self._others if go_on else ()

    def problems(self, *, thorough: bool = False, now: bool = False) -> tuple[Problem, ...]:
        """What stands against starting.

        Args:
            thorough: make the folder, and try to write to it.
            now: do not answer from memory.
        """
        thorough = thorough or (self._tried and bool(self._answer))  # what failed once is only well when it works
        at = self._clock()
        if now or at >= self._until or (thorough and not self._tried):
            self._answer, self._until, self._tried = self._look(thorough), at + FRESH_S, thorough
        return self._answer

    def _look(self, thorough: bool) -> tuple[Problem, ...]:
        if (words := disk.unusable(self.folder, self._needed, try_it=thorough)) is not None:
            return (Problem("disk", words),)
        if self._go_on:
            return ()
        if thorough or self._others:  # others may record here too, or have tidied up
            self._others = self._look_at_others()
        if not self._others:
            return ()
        words = (
            f"{self.folder} holds episodes of another set-up: {'; '.join(self._others)}; give another dataset_dir, or"
            " continue_folder:=true to go on all the same"
        )
        return (Problem("folder", words),)

    def _look_at_others(self) -> tuple[str, ...]:
        """How the set-up differs from that of the newest episode; nothing where that cannot be read."""
        with contextlib.suppress(EpisodeError, OSError):
            newest = naming.newest_in(self.folder)
            if newest is not None:
                with EpisodeReader(newest) as episode:
                    return differences(self._setup, setup_of_episode(episode), newest.name)
        return ()

    def left_behind(self) -> list[Path]:
        """What a recorder that was killed has left here."""
        return naming.left_behind(self.folder) if self.folder.is_dir() else []

    def free_gigabytes(self) -> float:
        """10^9 bytes that are free; 0 where the disk does not tell."""
        with contextlib.suppress(OSError):
            return round(disk.free_bytes(disk.existing(self.folder)) / 1e9, 1)
        return 0.0
