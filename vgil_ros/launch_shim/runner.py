"""Runs a launch description: starts its processes, answers signals, and ends with nothing left behind."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from vgil_ros.core.errors import VgilError
from vgil_ros.launch_shim.actions import LaunchContext, LaunchDescriptionEntity
from vgil_ros.launch_shim.process import Process

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_FROM_KERNEL = 0x80  # si_code of a signal that the terminal sent: all of its foreground group has got it
_POLL_S = 0.05


@dataclass(frozen=True)
class ProcessExited:
    """What an exit handler is told."""

    action: LaunchDescriptionEntity
    returncode: int
    pid: int


def run(description: LaunchDescriptionEntity, context: LaunchContext) -> int:
    """Run a description until all of its processes have ended, and return the launch's exit code.

    Must be called from the main thread. SIGINT and SIGTERM end the processes in order: SIGINT once, then SIGTERM, then
    SIGKILL; a further signal takes the next step at once.

    Raises:
        VgilError: where the description cannot be brought up; what had started has been ended.
    """
    environment = dict(os.environ)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # they are waited for, see _Runner.wait
    try:
        return _Runner(context).run(description)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.environ.clear()
        os.environ.update(environment)


class _Runner:
    def __init__(self, context: LaunchContext) -> None:
        self._context = context
        self._processes: list[Process] = []
        self._code = 0
        self._stopping = False
        self._own_groups = not _in_foreground()

    def run(self, description: LaunchDescriptionEntity) -> int:
        try:
            self._execute(description)
            self._loop()
        finally:
            self._stop()
            self._loop()
        return int(self._context.get_locals_as_dict().get("exit_code", self._code))

    def _execute(self, entity: LaunchDescriptionEntity) -> None:
        for following in entity.execute(self._context):
            self._execute(following)
        while self._context.to_start:
            self._start()

    def _start(self) -> None:
        action = self._context.to_start.pop(0)
        if self._context.is_shutdown:
            return
        try:
            process = Process(action, own_group=self._own_groups)
        except OSError as error:
            raise VgilError(f"{action.name}: cannot be started: {error}") from error
        self._processes.append(process)
        print(f"[launch] {action.name} started with pid {process.pid}", flush=True)

    def _loop(self) -> None:
        """Return when no process is left."""
        while self._processes:
            self._wait()
            for process in list(self._processes):
                returncode = process.poll()
                if returncode is None:
                    process.escalate()
                else:
                    self._ended(process, returncode)
            if self._context.is_shutdown and not self._stopping:
                self._stop()

    def _wait(self) -> None:
        info = signal.sigtimedwait(_SIGNALS, _POLL_S)
        if info is None:
            return
        from_terminal = info.si_signo == signal.SIGINT and info.si_code == _FROM_KERNEL
        self._context.shutdown_reason = self._context.shutdown_reason or signal.Signals(info.si_signo).name
        self._stop(signalled=from_terminal and not self._own_groups)

    def _stop(self, *, signalled: bool = False) -> None:
        self._stopping = True
        if self._context.shutdown_reason is None:
            self._context.shutdown_reason = "the launch is over"
        for process in self._processes:
            process.stop(signalled=signalled)

    def _ended(self, process: Process, returncode: int) -> None:
        self._processes.remove(process)
        process.finish_output()
        how = f"exit code {returncode}" if returncode >= 0 else signal.Signals(-returncode).name
        print(f"[launch] {process.action.name} (pid {process.pid}) ended: {how}", flush=True)
        event = ProcessExited(process.action, returncode, process.pid)
        for handler in self._context.exit_handlers:
            if handler.target_action is process.action:
                self._handle(handler.on_exit, event)

    def _handle(self, on_exit: object, event: ProcessExited) -> None:
        try:
            for entity in on_exit(event, self._context) or ():  # type: ignore[operator]
                self._execute(entity)
        except VgilError as error:
            print(f"[launch] error: {error}", flush=True)
            self._code = 1
            self._context.shutdown_reason = self._context.shutdown_reason or str(error)


def _in_foreground() -> bool:
    """Whether a terminal's Ctrl-C reaches us: then processes stay in our group, and may read its keys."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
