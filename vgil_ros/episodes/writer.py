"""The episode writer: rows go in from one thread and never wait; encoding and writing happen behind a bounded queue.

`append` -> encoder threads -> writer thread -> `episode_N.hdf5.part`, flushed four times a second -> `close`: the last
observation and attributes added, checked, renamed to `episode_N.hdf5`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import dm_env
import numpy as np

from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.quick_check import quick_check
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.errors import EpisodeError, NothingSaved, Overrun, WriteFailed
from vgil_ros.episodes.meta import EpisodeMeta
from vgil_ros.episodes.recovery.repair import whole_rows
from vgil_ros.episodes.schema import RowFile, RowSchema, finish
from vgil_ros.episodes.writing import disk, rows
from vgil_ros.episodes.writing.encoder import Encoder
from vgil_ros.episodes.writing.worker import Worker

QUEUE_BYTES = 256 * disk.MIB


@dataclass(frozen=True)
class Job:
    """A row on its way: its small arrays, and the futures of its images."""

    values: dict[str, Any]
    images: tuple[Future[bytes | np.ndarray], ...]
    depths: tuple[Future[bytes | np.ndarray], ...]

    def row(self) -> RowSchema:
        """Wait for the images and return the row."""
        return RowSchema(
            self.values, tuple(f.result() for f in self.images), tuple(np.asarray(f.result()) for f in self.depths)
        )


class EpisodeWriter:
    """Writes one episode: T+1 TimeSteps and T actions go in, T rows and a final observation are stored.

    Use it from one thread, and end it by `close` (save) or `discard`.
    """

    def __init__(
        self,
        dataset_dir: Path | str,
        meta: EpisodeMeta,
        *,
        min_free_bytes: int = disk.DEFAULT_MIN_FREE,
        queue_bytes: int = QUEUE_BYTES,
        encoder_threads: int = 2,
    ) -> None:
        """Claim the next free number in a folder and open its `.part`.

        Args:
            dataset_dir: the folder; made where it is missing.
            meta: what is the same in all rows.
            min_free_bytes: refuse to start with less; recording stops at this, but at most 64 MiB, left.
            queue_bytes: what uncompressed rows may wait in memory.
            encoder_threads: threads that encode JPEGs.

        Raises:
            DiskFull: with too little room to start.
            WriteFailed: where the folder cannot be written.
        """
        folder = Path(dataset_dir).expanduser()
        self.meta = meta
        self.part = naming.claim(folder)
        try:
            disk.need_free(folder, min_free_bytes)
            self._file = RowFile(self.part, meta)
            self._lock = naming.hold(self.part)
            limit = int(np.clip(queue_bytes // meta.row_bytes, 8, 512))
            self._worker = Worker(self._file, folder, min(min_free_bytes, disk.STOP_FREE), limit)
            self._images = Encoder(meta.cameras, meta.quality, encoder_threads)
            self._depths = Encoder(meta.depths, meta.quality, 1) if meta.depths else None
            self._beside = rows.BesideCounts(meta)
        except (OSError, RuntimeError) as error:
            self.part.unlink(missing_ok=True)
            raise WriteFailed(f"{self.part}: cannot be made ({error}); nothing is recorded") from error
        except BaseException:
            self.part.unlink(missing_ok=True)
            raise
        self._appended = 0
        self._final: Job | None = None
        self._open = True
        self.overruns = 0

    @property
    def rows(self) -> int:
        """Rows taken so far, T."""
        return self._appended

    @property
    def saved_rows(self) -> int:
        """Rows in the file, once it is closed; fewer than `rows` where the disk took no more."""
        return self._file.rows

    @property
    def full(self) -> bool:
        """Whether `append` would raise Overrun now; who can wait asks first."""
        return self._worker.full()

    def notes(self) -> tuple[str, ...]:
        """In words: velocities and efforts that were not measured in some rows, or only in later ones, and rows that
        are left out since an image of theirs does not decode."""
        return (*self._beside.words(), *filter(None, [self._unreadable()]))

    def _unreadable(self) -> str:
        return rows.damaged(self._worker.unreadable)

    @property
    def error(self) -> WriteFailed | None:
        """Why writing stopped (DiskFull or WriteFailed), or None; rows before it are kept."""
        return self._worker.error

    @property
    def scan(self) -> Scan:
        """What was seen of the images that are written, for `check_saved`."""
        return self._worker.scan.scan()

    def append(
        self,
        timestep: dm_env.TimeStep,
        action: np.ndarray | None,
        *,
        stamp_ns: int,
        skew_ns: np.ndarray,
        flags: np.ndarray,
        base_action: np.ndarray | None = None,
        arrival_ns: np.ndarray | Sequence[int] = (),
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        """Take one TimeStep; never blocks.

        Velocity and effort that the first one had and this one lacks become NaN.

        Args:
            timestep: FIRST, MID, ... with an action each, then LAST without one. Images are `core.frame.Frame`s or
                (H, W, 3) uint8 RGB; they must not be changed afterwards.
            action: (D,), or None with the last TimeStep.
            stamp_ns: the tick.
            skew_ns: (S,) sample's stamp minus tick, by stream.
            flags: (S,) `core.streams.Flag`.
            base_action: (2,) m/s, rad/s; the measured base velocity where None.
            arrival_ns: (S,) when the samples arrived; empty where nobody said.
            beside: with an action, where the meta says so: `reading.columns.ACTING`, actions (D,) or None.

        Raises:
            Overrun: when the queue is full; the row is not taken and may be counted as dropped.
            DiskFull, WriteFailed: once writing has stopped; close() keeps the rows before.
            EpisodeError: for a row that does not fit the episode.
        """
        self._check_order(timestep, action)
        values = rows.small_values(
            self.meta,
            timestep,
            action,
            stamp_ns=stamp_ns,
            skew_ns=skew_ns,
            flags=flags,
            base_action=base_action,
            arrival_ns=arrival_ns,
            beside=beside,
        )
        images = rows.images(self.meta.cameras, timestep.observation.get("images", {}), "images")
        depths = rows.images(self.meta.depths, timestep.observation.get("depth", {}), "depth images")
        if action is not None and self._worker.full():
            self.overruns += 1
            raise Overrun(
                f"{self.part.name}: row {self._appended} was not taken, {self._worker.limit} rows wait already;"
                " the disk or the encoding is too slow"
            )
        job = Job(values, self._images.submit(images), self._depths.submit(depths) if self._depths else ())
        if action is None:
            self._final = job
            return
        self._worker.put(job)
        self._beside.add(timestep.observation, values)
        self._appended += 1

    def _check_order(self, timestep: dm_env.TimeStep, action: np.ndarray | None) -> None:
        if not self._open:
            raise EpisodeError(f"{self.part.name}: already closed; no row can be added")
        if self.error is not None:
            raise self.error
        if self._final is not None:
            raise EpisodeError(f"{self.part.name}: the last TimeStep is in; no row can be added")
        if timestep.first() != (self._appended == 0):
            raise EpisodeError(f"TimeStep {self._appended} is {timestep.step_type.name}; allowed: FIRST at 0 alone")
        if timestep.last() != (action is None):
            raise EpisodeError("the last TimeStep comes without an action, and every other one with its action")

    def close(
        self,
        success: bool | None = None,
        *,
        dropped_rows: int = 0,
        aborted: str | None = None,
        tasks: Sequence[tuple[int, str]] = (),
        **attributes: Any,
    ) -> Path:
        """Save the episode.

        Args:
            success: what the operator or the task says; None where nobody did.
            dropped_rows: ticks that were left out, by the recorder's count; overruns are added by itself.
            aborted: why it was not recorded to its end; it is then kept apart (`naming.aborted_of`).
            tasks: stamp_ns of the first row, and words, of each task that came after the first one.
            attributes: further root attributes.

        Returns:
            The saved file.

        Raises:
            NothingSaved: when there is no row; nothing is left behind.
            EpisodeError: when the file fails its check; the `.part` stays.
            WriteFailed: when the file could not be finished; the `.part` stays for `vgil episodes repair`, if a row of
                it reached the disk.
        """
        self._end()
        try:
            if aborted is not None:
                attributes["aborted"] = aborted
            return self._save(success, dropped_rows, attributes, tasks)
        finally:
            os.close(self._lock)

    def _save(
        self, success: bool | None, dropped_rows: int, attributes: dict[str, Any], tasks: Sequence[tuple[int, str]]
    ) -> Path:
        if not self._worker.sound:
            raise self._unfinished(self.error) from self.error
        if self.error is None and (lost := self._appended - self._file.rows - len(self._worker.unreadable)):
            self._file.abandon()
            raise self._unfinished(WriteFailed(f"{lost} of its {self._appended} rows were never written"))
        if self._file.rows == 0:
            self.part.unlink(missing_ok=True)
            raise NothingSaved(f"{self.part.name}: no row was recorded; nothing is saved")
        dropped = dropped_rows + self.overruns + len(self._worker.unreadable)
        attributes |= {"rows_held": self._file.held, "rows_dropped": dropped}
        if np.isfinite(delays := self._file.min_delay_ms).any():
            attributes["min_delay_ms"] = delays
        if left_out := "; ".join(filter(None, (self._beside.late(), self._unreadable()))):
            attributes["left_out"] = left_out
        if success is not None:
            attributes["success"] = bool(success)
        if self.error is not None:
            attributes["stopped"] = str(self.error)
        try:
            finish(self.part, attributes, self._last_row(attributes), self.meta, tasks)
            quick_check(self.part, self._file.rows)
            self._worker.sync()
            apart = "aborted" in attributes
            wanted = naming.aborted_of(self.part) if apart else naming.final_of(self.part)
            return naming.publish_free(self.part, wanted)
        except (OSError, RuntimeError, KeyError, EpisodeError) as error:
            raise self._unfinished(error) from error

    def _unfinished(self, error: BaseException | None) -> WriteFailed:
        """What there is of a file that could not be finished, in words; one without a whole row is removed."""
        if naming.is_gone(self.part):
            return WriteFailed(f"{self.part}: is gone ({error}); nothing of it is saved")
        if self._is_empty():
            with contextlib.suppress(OSError):  # a disk that has become read-only
                self.part.unlink(missing_ok=True)
            return WriteFailed(
                f"{self.part}: could not be written ({error}); no row reached the disk, nothing is saved"
            )
        return WriteFailed(
            f"{self.part}: could not be finished ({error}); `vgil episodes repair {self.part}` recovers its rows"
        )

    def _is_empty(self) -> bool:
        """Whether the `.part` has not one whole row; False too where the disk does not let it be read."""
        try:
            self.part.open("rb").close()
        except OSError:
            return False
        return whole_rows(self.part) == 0

    def _last_row(self, attributes: dict[str, Any]) -> RowSchema | None:
        """The final observation; one that cannot be encoded is left out, and costs no row."""
        if self._final is None or self.error is not None:
            return None
        try:
            return self._final.row()
        except Exception as error:  # whatever a codec raises: it is about one image
            attributes["final_left_out"] = str(error)
            return None

    def discard(self) -> None:
        """Throw the episode away.

        Raises:
            WriteFailed: where its file cannot be removed.
        """
        if self._open:
            self._end()
            try:
                self.part.unlink(missing_ok=True)
            except OSError as error:
                raise WriteFailed(f"{self.part}: cannot be removed ({error.strerror}); remove it by hand") from error
            finally:
                os.close(self._lock)

    def _end(self) -> None:
        if not self._open:
            raise EpisodeError(f"{self.part.name}: already closed")
        self._open = False
        self._worker.finish()
        self._images.close()
        if self._depths:
            self._depths.close()

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Save what there is, unless closed or discarded inside."""
        if self._open:
            self.close()
