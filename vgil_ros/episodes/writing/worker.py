"""The thread that alone touches an episode's file."""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.scan import ScanBuilder
from vgil_ros.episodes.errors import DiskFull, WriteFailed
from vgil_ros.episodes.schema import RowFile, RowSchema
from vgil_ros.episodes.writing import disk

FLUSH_EVERY_S = 0.25  # what a killed process loses, and the rows on their way; 2.5 ms of work each
FLUSHES_A_SYNC = 2  # to the disk: a computer that loses its power loses a little more


class RowJob(Protocol):
    """A row that may still be in the making."""

    def row(self) -> RowSchema:
        """Wait for it."""


class Worker:
    """Takes rows from a bounded queue, writes them, and flushes on time whether rows come or not."""

    def __init__(self, file: RowFile, folder: Path, stop_free: int, limit: int) -> None:
        self.limit = limit
        self.error: WriteFailed | DiskFull | None = None
        self.scan = ScanBuilder()  # for the check at the end
        self.unreadable: list[str] = []  # of rows that were left out, why: an image did not decode
        self._file, self._folder, self._stop_free = file, folder, stop_free
        self._queue: queue.Queue[RowJob | None] = queue.Queue()
        self._syncer = Syncer(file.path)
        self._thread = threading.Thread(target=self._run, name="episode-writer", daemon=True)
        self._thread.start()

    @property
    def sound(self) -> bool:
        """Whether all rows that were written are whole, and the file can be finished."""
        return self.error is None or (isinstance(self.error, DiskFull) and self.error.room_left)

    def full(self) -> bool:
        """Whether as many rows wait as may."""
        return self._queue.qsize() >= self.limit

    def put(self, job: RowJob) -> None:
        """Queue a row; ask `full` first."""
        self._queue.put(job)

    def finish(self) -> None:
        """Write what waits, close the file and end the thread."""
        self._queue.put(None)
        self._thread.join()
        self._syncer.stop()

    def sync(self) -> None:
        """Bring the finished file to the disk.

        Raises:
            OSError: where the disk does not take it.
        """
        self._syncer.sync()

    def _run(self) -> None:
        due, flushes = time.monotonic() + FLUSH_EVERY_S, 0
        while True:
            try:
                job = self._queue.get(timeout=max(0.0, due - time.monotonic()))
                if job is None:
                    break
                if self.error is None:
                    self._guard(self._append, job)
            except queue.Empty:
                pass
            if time.monotonic() >= due:
                if self.error is None:
                    self._guard(self._flush)
                    flushes += 1
                    if flushes % FLUSHES_A_SYNC == 0:
                        self._syncer.kick()
                due = time.monotonic() + FLUSH_EVERY_S
        if self.sound:
            self._guard(self._file.close)
        else:
            self._file.abandon()

    def _append(self, job: RowJob) -> None:
        free = disk.free_bytes(self._folder)
        if free < self._stop_free:
            raise DiskFull(
                f"{self._folder}: {free / disk.MIB:.0f} MiB free, less than the {self._stop_free / disk.MIB:.0f} MiB"
                f" that are kept to finish a file; recording stopped after {self._file.rows} rows",
                room_left=True,
            )
        try:
            row = job.row()
        except VgilError as error:  # one image, damaged on its way: not worth an episode
            self.unreadable.append(str(error))
            return
        self._file.append(row)
        images = dict(zip(self._file.meta.camera_names, row.images, strict=True))
        self.scan.add(images | dict(zip(self._file.meta.depth_names, row.depths, strict=True)))

    def _flush(self) -> None:
        self._file.path.stat()  # raises where somebody has removed it, which writing does not
        self._file.flush()

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        """Run a step; what goes wrong is kept for the caller's thread, in words."""
        try:
            action(*arguments)
        except DiskFull as error:
            self.error = error
        except Exception as error:
            reason = str(error)
            self.error = WriteFailed(f"{self._file.path}: {reason}; recording stopped after {self._file.rows} rows")
            if naming.is_gone(self._file.path):
                self.error = WriteFailed(
                    f"{self._file.path}: somebody has removed it while it was recorded; nothing is left of its"
                    f" {self._file.rows} rows: leave a folder alone while it is recorded to"
                )
            elif getattr(error, "errno", None) == errno.ENOSPC or "No space left" in reason:
                self.error = DiskFull(f"{self._folder}: no space left; recording stopped after {self._file.rows} rows")


class Syncer:
    """Brings a growing file to the disk in its own thread, so that `close` has little left to wait for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wake = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._run, name="episode-sync", daemon=True)
        self._thread.start()

    def kick(self) -> None:
        """Ask for a sync; one that is under way goes on."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._done = True
        self._wake.set()
        self._thread.join()

    def sync(self) -> None:
        """Bring everything to the disk now.

        Raises:
            OSError: where the disk does not take it.
        """
        handle = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._done:
                return
            with contextlib.suppress(OSError):  # the last sync, in close, tells
                self.sync()
