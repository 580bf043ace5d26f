"""A process beside the page for what takes seconds or hours: checks and exports. It can be ended.

It reads one request a line from its standard input and answers in lines of JSON: any number of `progress`, then `done`
or `error`. It ends itself when its input does, so that none outlives a page that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError

NICE = 15  # behind whatever records or acts on this machine
SAY_S = 0.2  # between two words on how far it is
Progress = Callable[[str, int, int], None]  # what is done, how many of it, of how many


class Worker:
    """The page's end of such a process: one request at a time, by threads. It is started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def ask(self, request: dict[str, Any], progress: Progress = lambda *_: None) -> Any:
        """Have something done, and wait for it.

        Raises:
            VgilError: it could not be done, or the process was ended.
        """
        process = self._running()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if "progress" in answer:
                    progress(*answer["progress"])
                elif "error" in answer:
                    raise VgilError(answer["error"])
                else:
                    return answer["done"]
        except (OSError, ValueError):  # its pipe broke
            pass
        self.end()
        raise VgilError("the process that worked on it was ended before it was done; allowed: to ask for it again")

    def end(self) -> None:
        """End the process, whatever it does; the next request starts another one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "vgil_ros.web.episodes.worker"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        return self._process


def check(path: Path) -> dict[str, Any]:
    """The report of `vgil episodes check` on one file."""
    from vgil_ros.episodes.checks.check import check_episode

    return check_episode(path).as_dict()


def export(plan: dict[str, Any], out: Path, progress: Progress) -> dict[str, Any]:
    """`vgil dataset convert`; gives how many episodes it wrote, and why others were left out."""
    from vgil_ros.core.config import validate
    from vgil_ros.datasets.convert import convert_dataset
    from vgil_ros.datasets.errors import DatasetError
    from vgil_ros.datasets.plan import Plan

    def told(items: Iterable[Any], what: str, count: int) -> Iterator[Any]:
        said = float("-inf")
        for done, item in enumerate(items):
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                progress(what, done, count)
            yield item
        progress(what, count, count)

    result = convert_dataset(validate(Plan, plan, "export", DatasetError), out, progress=told)
    return {"out": str(result.out), "episodes": result.episodes, "left_out": result.left_out}


def _do(request: dict[str, Any], progress: Progress) -> Any:
    if request["do"] == "check":
        return check(Path(request["path"]))
    return export(request["plan"], Path(request["out"]), progress)


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(OSError):
        os.nice(NICE)

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer, default=str) + "\n")

    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    while True:
        try:
            say(done=_do(json.loads(requests.get()), lambda *how: say(progress=how)))
        except VgilError as error:
            say(error=str(error))
        except Exception as error:  # a file may break any line that touches it; the page is to be told
            say(error=f"{type(error).__name__}: {error}")


def _read(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # the page is gone: whatever is under way is nobody's any more


if __name__ == "__main__":
    main()
