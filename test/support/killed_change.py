"""A change to the disk by a process that is killed in the middle of it, as `kill -9` or a power cut does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any


def killed_before(after: int, calls: Iterable[tuple[Any, str]], change: Callable[[], object]) -> bool:
    """Change the disk in a fork that is killed before one of its calls; whether it came to that.

    Args:
        after: how many of the calls it makes before.
        calls: the functions that are counted, each by its module and name.
        change: what the fork does.
    """
    child = os.fork()
    if child == 0:
        left = iter(range(after))

        def dying(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **more: Any) -> Any:
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **more)

            return call

        for owner, name in calls:
            setattr(owner, name, dying(getattr(owner, name)))
        change()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
