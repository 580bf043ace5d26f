"""A change to the disk by a process that is killed in the middle of it, as `kill -9` or a power cut does."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

# What Python reports before it changes a name or a file (PEP 578); `open` only where it is for writing.
CHANGES = ("os.link", "os.symlink", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod")
FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
Calls = Iterable[tuple[Any, str]]


def killed_before(after: int, calls: Calls, change: Callable[[], object]) -> bool:
    """Change the disk in a fork that is killed before one of its calls; whether it came to that.

    Args:
        after: how many of the calls it makes before.
        calls: the functions that are counted, each by its module and name.
        change: what the fork does.
    """
    return _killed(change, lambda count: _count_calls(calls, count), after)


def killed_at_change(after: int, change: Callable[[], object], calls: Calls = ()) -> bool:
    """Change the disk in a fork that is killed before one of the changes that Python reports; whether it came to that.

    Args:
        after: how many changes it makes before.
        change: what the fork does.
        calls: functions that are counted too, since they change files without Python's knowing.
    """

    def install(count: Callable[[], None]) -> None:
        def hook(event: str, given: tuple[Any, ...]) -> None:
            if event in CHANGES or (event == "open" and isinstance(given[2], int) and given[2] & FOR_WRITING):
                count()

        _count_calls(calls, count)
        sys.addaudithook(hook)

    return _killed(change, install, after)


def _count_calls(calls: Calls, count: Callable[[], None]) -> None:
    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            count()
            return real(*given, **more)

        return call

    for owner, name in calls:
        setattr(owner, name, counting(getattr(owner, name)))


def _killed(change: Callable[[], object], install: Callable[[Callable[[], None]], None], after: int) -> bool:
    child = os.fork()
    if child == 0:
        left = iter(range(after))

        def count() -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            install(count)
            change()
        except BaseException:  # else this fork would go on with the tests
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
