"""`vgil launch` without the launch packages: exit codes, signals, nothing left behind, plain errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vgil_ros.assets import share_dir

WITHOUT_PACKAGES = """
import typer
from vgil_ros.cli import launch
launch.real_packages = lambda: False
typer.run(launch.launch)
"""
COMMAND = [sys.executable, "-c", WITHOUT_PACKAGES]
FILE = Path(__file__).with_name("standin.launch.py")


TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Launch:
    """A `vgil launch` of the stand-in file, in a session of its own; with a terminal if one is given."""

    def __init__(self, folder: Path, *arguments: str, terminal: int | None = None) -> None:
        self.notes = folder / "notes"
        command = [*COMMAND, str(FILE), f"notes:={self.notes}", *arguments]
        if terminal is not None:
            command = [sys.executable, "-c", TAKE_TERMINAL, *command]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def pids(self) -> dict[str, int]:
        return {line.split()[0]: int(line.split()[2]) for line in self.noted() if " pid " in line}

    def wait_up(self) -> None:
        wait_for(lambda: len(self.pids()) == 2)

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=90)
        return self.process.returncode, output or ""


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    started: list[Launch] = []

    def begin(*arguments: str, terminal: int | None = None) -> Launch:
        started.append(Launch(tmp_path, *arguments, terminal=terminal))
        return started[-1]

    yield begin
    for launch in started:
        if launch.process.poll() is None:
            launch.process.kill()
        for pid in launch.pids().values():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def vgil_launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=150, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_main_process_ends_all_and_gives_the_exit_code(start, code):
    launch = start(f"main:=0.5 {code}")
    found, output = launch.end()
    assert found == code, output
    assert "[main] main is up" in output
    assert "side SIGINT" in launch.noted()
    assert not any(alive(pid) for pid in launch.pids().values())


def test_a_side_process_that_fails_ends_all_with_its_code(start):
    launch = start("main:=60 0", "side:=0.3 4")
    code, output = launch.end()
    assert code == 4
    assert "side ended with exit code 4" in output
    assert launch.noted().count("main SIGINT") == 1


def test_a_side_process_that_ends_well_does_not_end_the_others(start):
    launch = start("main:=1.5 0", "side:=0.1 0")
    assert launch.end()[0] == 0
    assert "main SIGINT" not in launch.noted()


def test_a_main_process_killed_by_a_signal(start):
    launch = start("main:=60 0")
    launch.wait_up()
    os.kill(launch.pids()["main"], signal.SIGKILL)
    assert launch.end()[0] == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_each_process_once(start, number):
    launch = start("main:=60 0")
    launch.wait_up()
    launch.process.send_signal(number)
    assert launch.end()[0] == 0
    assert sorted(line for line in launch.noted() if "SIG" in line) == ["main SIGINT", "side SIGINT"]


def test_a_signal_to_the_whole_group_reaches_each_process_once(start):
    launch = start("main:=60 0")
    launch.wait_up()
    os.killpg(launch.process.pid, signal.SIGINT)
    assert launch.end()[0] == 0
    assert sorted(line for line in launch.noted() if "SIG" in line) == ["main SIGINT", "side SIGINT"]


def test_ctrl_c_at_a_terminal_reaches_each_process_once(start):
    leader, follower = os.openpty()
    try:
        launch = start("main:=60 0", terminal=follower)
        launch.wait_up()
        os.write(leader, b"\x03")
        assert launch.end()[0] == 0
        assert sorted(line for line in launch.noted() if "SIG" in line) == ["main SIGINT", "side SIGINT"]
    finally:
        os.close(leader)
        os.close(follower)


def test_one_that_will_not_end_is_killed(start):
    launch = start("main:=60 0 ignore-int ignore-term", "side:=60 0 ignore-int")
    launch.wait_up()
    pids = launch.pids()
    launch.process.send_signal(signal.SIGINT)
    code, output = launch.end()
    assert code == 128 + signal.SIGKILL
    assert launch.noted().count("main SIGTERM") == 1
    assert "main (pid" in output
    assert "SIGKILL" in output
    assert not any(alive(pid) for pid in pids.values())


def test_nothing_stays_when_the_launcher_itself_is_killed(start):
    launch = start("main:=60 0")
    launch.wait_up()
    launch.process.kill()
    wait_for(lambda: not any(alive(pid) for pid in launch.pids().values()))
    noted = launch.noted()
    # At least once: the kernel sends it for each of the launcher's threads that has been a child's parent as they die.
    assert {line for line in noted if "SIG" in line} == {"main SIGTERM", "side SIGTERM"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.launch.py"], ["nowhere.launch.py", "record.launch.py", "policy.launch.py"]),
        (["record.launch.py", "num_episode:=1"], ["num_episode", "num_episodes"]),
        (["record.launch.py", "sim"], ["'sim'", "key:=value"]),
        (["record.launch.py", "sim:=maybe"], ["'sim'", "'maybe'", "'true'"]),
        (["record.launch.py", "num_episodes:=ten"], ["'num_episodes'", "'ten'", "whole number"]),
        (["record.launch.py", "robot:=r2d2"], ["r2d2", "sim_aloha"]),
        ([str(FILE)], ["'notes'"]),
        ([str(FILE), "notes:=/dev/null", "colour:=blue"], ["'colour'", "'blue'", "'green'"]),
    ],
)
def test_wrong_usage_is_named(arguments, words):
    done = vgil_launch(*arguments)
    assert done.returncode == 2
    assert [word for word in words if word not in done.stderr] == []
    assert "started" not in done.stdout


@pytest.mark.parametrize("path", sorted((share_dir() / "launch").glob("*.launch.py")), ids=lambda path: path.name)
def test_show_args_lists_every_argument(path):
    done = vgil_launch(path.name, "--show-args")
    assert done.returncode == 0, done.stderr
    assert "robot:=" in done.stdout
    assert "params_file:=" in done.stdout
    assert "rviz:=false" in done.stdout


def test_what_the_stand_in_lacks_is_named(tmp_path):
    (tmp_path / "a.launch.py").write_text("from launch.actions import GroupAction\n")
    done = vgil_launch(str(tmp_path / "a.launch.py"))
    assert done.returncode == 2
    assert "launch.actions.GroupAction" in done.stderr
