"""Commands over episodes: with `--workers` they say and write what one process does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as made
from typer.testing import CliRunner, Result

from vgil_ros.cli.episodes.check import _report
from vgil_ros.cli.main import app
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.evaluate import EvaluationPlan, play_all
from vgil_ros.parallel import Executor, Outcome, Work, WorkerKilled
from vgil_ros.robots.sim.generate import _kept


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four episodes, one with a number that is none, one that is cut."""
    for rows in (6, 8, 4, 5):
        made.write(tmp_path / "data", made.meta(), rows)
    with h5py.File(tmp_path / "data/episode_1.hdf5", "r+") as file:
        file["action"][2, 0] = np.nan
    cut = tmp_path / "data/episode_2.hdf5"
    cut.write_bytes(cut.read_bytes()[:3000])
    monkeypatch.chdir(tmp_path)
    return Path("data")


def episodes(*words: object) -> Result:
    return CliRunner().invoke(app, ["episodes", *map(str, words)])


def test_a_check_by_several_processes_says_what_one_says(folder: Path) -> None:
    one = episodes("check", folder, "--json", "one.json")
    two = episodes("check", folder, "--workers", 2, "--json", "two.json")
    assert (one.exit_code, two.exit_code) == (1, 1)
    assert "4 checked, 2 bad" in one.stdout
    assert one.stdout == two.stdout
    assert json.loads(Path("one.json").read_text()) == json.loads(Path("two.json").read_text())


def test_a_conversion_by_several_processes_writes_what_one_writes(folder: Path) -> None:
    digests = []
    for out, workers in (("one", 1), ("two", 2)):
        done = episodes("convert", folder, out, "--to", "aloha", "--workers", workers)
        assert done.exit_code == 1, done.output
        assert "episode_2.hdf5" in done.output
        assert "3 of 4 converted" in done.output
        files = sorted(Path(out).iterdir())
        assert [file.name for file in files] == [f"episode_{i}.hdf5" for i in (0, 1, 3)]
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]


def test_an_episode_whose_process_was_killed_is_a_bad_one() -> None:
    path = Path("data/episode_3.hdf5")
    report = _report(Outcome(path, None, WorkerKilled(f"{path}: the process 7 that worked on it was killed (SIGKILL)")))
    assert not report.ok
    assert [str(finding) for finding in report.findings] == [
        "error: episode_3.hdf5: the process 7 that worked on it was killed (SIGKILL)"
    ]


@pytest.mark.parametrize("address", ["", "local"])
def test_a_cluster_that_is_none_is_refused(folder: Path, address: str) -> None:
    done = episodes("check", folder, "--ray", address)
    assert done.exit_code == 2
    assert "--ray" in done.stderr
    assert f"--ray is '{address}'; allowed: auto" in done.stderr or "pip install 'vgil_ros[ray]'" in done.stderr


def test_a_seed_whose_process_was_killed_is_named_and_no_episode() -> None:
    error = WorkerKilled("seed 7: the process 9 that worked on it was killed (SIGKILL)")
    made_of_it = _kept(Outcome(7, None, error))
    assert (made_of_it.seed, made_of_it.path, made_of_it.killed) == (7, None, str(error))
    with pytest.raises(VgilError, match="no room"):
        _kept(Outcome(7, None, VgilError("no room")))


class Ends(Executor):
    """Gives outcomes that are ready."""

    workers = 2

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes

    def map(self, work: Work, items: Iterable) -> Generator[Outcome, None, None]:
        """See `Executor.map`."""
        yield from self.outcomes


def test_rollouts_that_could_not_be_played_are_named_once_the_others_are() -> None:
    plan = EvaluationPlan("pick_place", robot="sim_single", episodes=3)
    error = WorkerKilled("the rollout of seed 1: the process 9 that worked on it was killed (SIGKILL)")
    results: Any = play_all(plan, None, Ends([Outcome(0, "a"), Outcome(1, None, error), Outcome(2, "b")]))
    assert [next(results), next(results)] == ["a", "b"]
    with pytest.raises(VgilError, match=r"1 of 3 rollouts could not be played.* no report: .*seed 1: the process 9"):
        next(results)
