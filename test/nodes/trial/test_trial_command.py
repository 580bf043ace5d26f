"""`vgil trial` before any attempt: what cannot be tried is refused, and leaves nothing in the way of what can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.evaluation.sources import tiny_act

pytest.importorskip("rclpy")

from support.nodes.domains import own_domain

from vgil_ros.evaluation.trials.journal import read_journal

Trial = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Runs the command with two policies, in a domain of its own and without a terminal."""
    policies = [str(tiny_act(tmp_path / name)) for name in ("one", "other")]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(own_domain())}

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["trial", *policies, "--out", str(tmp_path / "trial"), *options]
        return subprocess.run(
            [sys.executable, "-m", "vgil_ros.cli.main", *words],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    return run


def test_a_robot_that_does_not_fit_leaves_the_folder_to_one_that_does(trial: Trial, tmp_path: Path) -> None:
    said = trial("--robot", "sim_aloha")
    assert said.returncode == 2, said
    assert not read_journal(tmp_path / "trial" / "journal.jsonl").lines
    said = trial("--robot", "sim_single")
    assert "there is no terminal; allowed without one: --label topic --reset sim" in said.stderr
    assert read_journal(tmp_path / "trial" / "journal.jsonl").plan.robot == "sim_single"


def test_attempts_without_an_end_and_a_terminal_are_refused(trial: Trial) -> None:
    said = trial("--robot", "sim_single", "--label", "topic", "--reset", "sim")
    assert said.returncode == 2
    assert "--episode-len is 0, and there is no terminal to stop an attempt from; allowed: 1 and more" in said.stderr


def test_a_trial_goes_on_as_it_was_begun(trial: Trial, tmp_path: Path) -> None:
    given = ("--robot", "sim_single", "--seed", "4", "--execution", "open_loop")
    trial(*given)
    plan = read_journal(tmp_path / "trial" / "journal.jsonl").plan
    assert (plan.execution, plan.scene_seed) == ("open_loop", 20_000)
    said = trial(*given[:4])
    assert "trial: its trial has execution open_loop; found None; allowed: the same command" in said.stderr
    said = trial(*given, "--seed", "5")
    assert "trial: found --seed 5; its order was settled with another before the first attempt" in said.stderr
