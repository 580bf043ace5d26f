"""ROS domains that no other test of this machine uses at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

LAST = 101  # above it, Linux may give a domain's ports to anyone
_kept = contextlib.ExitStack()


@contextlib.contextmanager
def free_domain() -> Iterator[int]:
    """Hold a domain's lock file; the kernel lets go of it should this process die.

    Raises:
        RuntimeError: where all are taken.
    """
    folder = Path(tempfile.gettempdir()) / "vgil_test_domains"
    folder.mkdir(exist_ok=True)
    for i in range(LAST):
        domain = 1 + (os.getpid() + i) % LAST
        handle = os.open(folder / str(domain), os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        try:
            yield domain
        finally:
            os.close(handle)
        return
    raise RuntimeError(f"all ROS domains from 1 to {LAST} are taken by other tests")


def own_domain() -> int:
    """A domain that belongs to this process until it ends."""
    return _kept.enter_context(free_domain())
