"""The end of an episode's file: written or removed in another thread, and waited for."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as ClosingTakesLong
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.node import VgilNode

TIMEOUT_S = 5.0  # then it is said; the process does not end before the file is closed all the same


class EpisodeClosing:
    """The file that is being closed, if one is."""

    def __init__(self, node: VgilNode) -> None:
        self._node = node
        self._open: tuple[Future[Any], bool] | None = None  # and whether it is to be kept

    def begin(self, future: Future[Any], *, keep: bool) -> None:
        """An episode has ended; the future gives its file, None where it has none."""
        self._open = (future, keep)

    @property
    def ended(self) -> bool:
        """Whether a file has been closed that `take` has not been asked about."""
        return self._open is not None and self._open[0].done()

    def take(self, success: bool | None) -> bool:
        """Say how the closing went that has ended, and return whether the episode was kept."""
        assert self._open is not None
        (future, keep), self._open = self._open, None
        try:
            saved = future.result()
        except VgilError as error:
            self._node.get_logger().error(str(error))
            return False
        if saved is not None:
            verdict = "" if success is None else ", success" if success else ", no success"
            self._node.get_logger().info(f"saved {saved} ({saved.stat().st_size / 1e6:.1f} MB{verdict})")
        return keep

    def wait(self) -> None:
        """Wait, as the process ends; a file that cannot be closed makes that a failure."""
        if self._open is None:
            return
        log = self._node.get_logger()
        try:
            saved = self._open[0].result(timeout=TIMEOUT_S)
            if saved is not None:
                log.info(f"saved {saved}")
        except ClosingTakesLong:
            log.error(f"the episode is not closed after {TIMEOUT_S:.0f} s; waiting for the disk")
        except VgilError as error:
            self._node.exit_code = 1
            log.error(str(error))
