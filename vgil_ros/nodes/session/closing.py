"""The end of an episode: what became of its file, said as it lies on the disk."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future
from concurrent.futures import TimeoutError as ClosingTakesLong
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgil_ros.core.episode_label import Verdict
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.naming import ABORTED, log_of
from vgil_ros.episodes.writing.sink import EpisodeEnd
from vgil_ros.nodes.base.alerts import Alerts, Severity

TIMEOUT_S = 5.0  # then it is said; the process does not end before the file is closed all the same


@dataclass(frozen=True)
class Closed:
    """How an episode went.

    Attributes:
        path: its file; None where there is none.
        counts: whether it is one of those asked for.
        failed: whether something else than the operator's will kept it from being one.
        unsaved: whether rows were recorded that are in no finished file.
        verdict: of the check at its end: "ok", "bad", "aborted"; "lost" where it has no file though it was to be kept.
        words: what was said of it.
    """

    path: Path | None
    counts: bool = False
    failed: bool = False
    unsaved: bool = False
    verdict: str = field(default="", compare=False)
    words: str = field(default="", compare=False)

    def figures(self) -> dict[str, object]:
        """Of a status; none where nothing was kept and nothing is wrong."""
        if not self.verdict:
            return {}
        file = {"last_episode": str(self.path)} if self.path is not None else {}
        return {**file, "last_verdict": self.verdict, "last_words": self.words}


class EpisodeClosing:
    """The file that is being closed, if one is."""

    def __init__(
        self, alerts: Alerts, *, count_bad: bool = True, remedy: str = "record it again", files: bool = False
    ) -> None:
        """Close what one node records.

        Args:
            alerts: where it is said.
            count_bad: whether a file in which the check finds errors counts.
            remedy: what to do about such a one, in words.
            files: whether an episode without a file is none.
        """
        self._alerts = alerts
        self._count_bad, self._remedy, self._files = count_bad, remedy, files
        self._open: tuple[Future[Any], bool, bool] | None = None  # and whether to keep it, and whether it failed

    def begin(self, future: Future[EpisodeEnd | None] | Future[None], *, keep: bool, failed: bool = False) -> None:
        """An episode has ended.

        Args:
            future: gives its file, None where it has none.
            keep: whether it is to be kept.
            failed: whether it was not ended by the operator or its length.
        """
        self._open = (future, keep, failed)

    @property
    def ended(self) -> bool:
        """Whether a file has been closed that `take` has not been asked about."""
        return self._open is not None and self._open[0].done()

    def take(self, success: bool | None, label: Verdict | None = None) -> Closed:
        """Say how the closing went that has ended, and return it."""
        assert self._open is not None
        (future, keep, failed), self._open = self._open, None
        try:
            end: EpisodeEnd | None = future.result()
        except VgilError as error:
            self._alerts.log(str(error), severity="error")
            return Closed(None, failed=keep or failed, unsaved=keep, verdict="lost" if keep else "", words=str(error))
        if end is None:
            failed = failed or (keep and self._files)
            if failed and self._files:
                self._alerts.log("nothing is recorded of this episode: it had no row", severity="warning")
            lost = failed and self._files
            return Closed(
                None,
                counts=keep and not failed,
                failed=failed,
                verdict="lost" if lost else "",
                words="nothing is recorded: it had no row" if lost else "",
            )
        words, severity = end.words(success, label, self._remedy)
        self._alerts.log(words, severity=severity)
        if end.without_log is not None:
            self._alerts.log(end.without_log, severity="warning")
        counts = end.aborted is None and (self._count_bad or end.report.ok)
        verdict = "aborted" if end.aborted is not None else "ok" if end.report.ok else "bad"
        return Closed(end.path, counts=counts, failed=not counts, verdict=verdict, words=words)

    def wait(self, success: bool | None, label: Verdict | None = None) -> Closed | None:
        """Wait, as the process ends, and return how the closing went; None where there was none."""
        if self._open is None:
            return None
        try:
            self._open[0].exception(timeout=TIMEOUT_S)
        except ClosingTakesLong:
            words = f"the episode is not closed after {TIMEOUT_S:.0f} s; waiting for the disk"
            self._alerts.log(words, severity="error")
            self._open[0].exception()
        return self.take(success, label)


def remove_episode(path: Path) -> tuple[str, Severity]:
    """Remove an episode's file and its raw log, and say so or why not."""
    try:
        path.unlink()
        log_of(path).unlink(missing_ok=True)
    except OSError as error:
        return f"{path}: cannot be removed ({error.strerror}); remove it by hand", "error"
    if path.name.endswith(ABORTED):
        with contextlib.suppress(OSError):  # others lie there too
            path.parent.rmdir()
    return f"{path} is removed", "info"
