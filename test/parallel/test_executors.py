"""Laws of executors: the same results in the same order, whoever works; what fails or is killed ends no other."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.spread_work import Squares

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.parallel import WorkerKilled, executor
from vgil_ros.parallel.shared_folder import see

HERE = Path(__file__).resolve().parents[1]
INTERRUPTED = """
import sys
from pathlib import Path
from support.spread_work import Squares
from vgil_ros.parallel import executor
if __name__ == "__main__":
    with executor(2) as pool:
        for outcome in pool.map(Squares(Path(sys.argv[1]), seconds=0.05), range(10**6)):
            print(outcome.item, flush=True)
"""


def alive(folder: Path) -> list[int]:
    """Workers that began and are still there."""
    found = []
    for trace in folder.glob("open_*"):
        pid = int(trace.name.partition("_")[2])
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
            found.append(pid)
    return found


@pytest.mark.parametrize("workers", [None, 1, 2, 3])
def test_results_come_in_the_items_order_whoever_works(workers: int | None, tmp_path: Path) -> None:
    work = Squares(tmp_path, slow=(0, 5), bad=(3,))
    with executor(workers) as pool:
        outcomes = list(pool.map(work, range(12)))
    assert [outcome.item for outcome in outcomes] == list(range(12))
    assert [outcome.value and outcome.value[0] for outcome in outcomes if outcome.item != 3] == [
        i * i for i in range(12) if i != 3
    ]
    with pytest.raises(EpisodeError, match="3: cannot be squared"):
        outcomes[3].result()
    processes = {outcome.result()[1] for outcome in outcomes if outcome.error is None}
    assert len(processes) == (workers or 1)
    assert (os.getpid() in processes) == (workers in (None, 1))
    assert alive(tmp_path) == ([os.getpid()] if workers in (None, 1) else [])
    assert len(list(tmp_path.glob("closed_*"))) == (workers or 1), "what was opened was closed"


def test_endless_items_are_taken_as_they_are_needed_and_workers_end_with_the_reader(tmp_path: Path) -> None:
    with executor(2) as pool, closing(pool.map(Squares(tmp_path, slow=(0,)), itertools.count())) as outcomes:
        assert [next(outcomes).result()[0] for _ in range(5)] == [0, 1, 4, 9, 16]
        assert len(alive(tmp_path)) == 2
    assert alive(tmp_path) == []
    assert len(list(tmp_path.glob("tried_*"))) <= 5 + 4 * 2


def test_an_item_that_kills_its_process_is_named_and_ends_no_other(tmp_path: Path) -> None:
    with executor(2) as pool:
        outcomes = list(pool.map(Squares(tmp_path, deadly=(2, 4)), range(7)))
    assert [outcome.item for outcome in outcomes] == list(range(7))
    assert [outcome.item for outcome in outcomes if outcome.error is None] == [0, 1, 3, 5, 6]
    for number in (2, 4):
        error = outcomes[number].error
        assert isinstance(error, WorkerKilled)
        last = (tmp_path / f"tried_{number}_1").read_text()
        assert str(error).startswith(f"number {number}: the process {last} that worked on it was killed (SIGKILL)")
        assert not (tmp_path / f"tried_{number}_2").exists(), "twice, and no more"


def test_an_item_whose_process_was_killed_once_is_done_by_another(tmp_path: Path) -> None:
    with executor(3) as pool:
        outcomes = list(pool.map(Squares(tmp_path, deadly=(1,), once=True, seconds=0.05), range(8)))
    assert [outcome.result()[0] for outcome in outcomes] == [i * i for i in range(8)]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_keeps_all_from_beginning_is_said_at_once(workers: int, tmp_path: Path) -> None:
    with executor(workers) as pool, pytest.raises(VgilError, match="nothing can be squared here"):
        list(pool.map(Squares(tmp_path, broken=True), range(4)))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_of_the_work_itself_is_raised_as_it_is(workers: int, tmp_path: Path) -> None:
    with executor(workers) as pool, pytest.raises(ZeroDivisionError, match="2 is a fault of the work"):
        list(pool.map(Squares(tmp_path, fault=(2,)), range(6)))
    assert [pid for pid in alive(tmp_path) if pid != os.getpid()] == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_or_a_kill_of_the_parent_ends_all_workers(sent: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(6):
        assert process.stdout.readline()
    assert len(alive(tmp_path)) == 2
    if sent is signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does
    else:
        process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    assert process.returncode == -sent
    assert (b"KeyboardInterrupt" in said) == (sent is signal.SIGINT)
    assert said.count(b"Traceback") <= 1, "workers say nothing"
    end = time.monotonic() + 10
    while alive(tmp_path) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive(tmp_path) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_is_refused(workers: int) -> None:
    with pytest.raises(VgilError, match=f"workers is {workers}; allowed: from 1"), executor(workers):
        pass


def test_a_result_that_another_machine_keeps_to_itself_is_named(tmp_path: Path) -> None:
    answers = iter([False, True])
    see(tmp_path, lambda: next(answers), patience_s=10.0)
    with pytest.raises(VgilError, match=r"was made on another machine.*a folder that all machines have"):
        see(tmp_path / "episode_0.hdf5", (tmp_path / "episode_0.hdf5").is_file, patience_s=0.1)
