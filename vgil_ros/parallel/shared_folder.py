"""Results that another machine wrote into a folder that all machines share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from vgil_ros.core.errors import VgilError

PATIENCE_S = 60.0  # a network's file system may take a while to show what is new


def see(path: Path, is_there: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until a result is there; at once where this machine wrote it.

    Raises:
        VgilError: it does not lie here.
    """
    end = time.monotonic() + patience_s
    while not is_there():
        if time.monotonic() > end:
            raise VgilError(
                f"{path}: was made on another machine, and is not there on this one; "
                "allowed with --ray: a folder that all machines have under the same path"
            )
        time.sleep(0.2)
