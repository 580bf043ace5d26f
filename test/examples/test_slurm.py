"""The sbatch examples: run with stand-ins for Slurm, torchrun and Ray, their commands are ones that there are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from vgil_ros.cli.main import app

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "slurm"
STAND_IN = """#!/bin/bash
[ "$(basename "$0")" = scontrol ] && { printf 'node1\\nnode2\\n'; exit; }
printf '%s\\t' "$(basename "$0")" "$@" >> "$LOG"; echo >> "$LOG"
"""


def run(script: str, tmp_path: Path) -> list[list[str]]:
    """The commands that a script gives, word by word."""
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    for name in ("scontrol", "srun", "vgil"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o755)
    log = tmp_path / "log"
    log.unlink(missing_ok=True)
    slurm = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4"}
    here = {"PATH": f"{tools}:{os.environ['PATH']}", "LOG": str(log), "RUN": str(tmp_path), "HEAD_S": "0.2"}
    environment = {**os.environ, **slurm, **here, "OTHERS_S": "0.2"}
    done = subprocess.run(
        ["bash", str(FOLDER / script)], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.rstrip("\t").split("\t") for line in log.read_text().splitlines()]


def assert_understood(words: list[str]) -> None:
    """Each option is one of the command's."""
    command = get_command(app)
    while hasattr(command, "commands") and words:
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("again", [False, True])
def test_training_begins_and_goes_on(again: bool, tmp_path: Path) -> None:
    if again:
        (tmp_path / "resume.pt").touch()
    [words] = run("train.sbatch", tmp_path)
    assert words[:4] == ["srun", "torchrun", "--nnodes", "2"]
    assert words[words.index("--rdzv-endpoint") + 1] == "node1:29500"
    command = words[words.index("vgil_ros.cli.main") + 1 :]
    assert ("--resume" in command) == again
    assert_understood(command)


def test_episodes_are_worked_on_by_a_cluster_within_the_job(tmp_path: Path) -> None:
    given = run("episodes.sbatch", tmp_path)
    starts = [words for words in given if words[0] == "srun"]
    assert [("--head" in words, "--address=node1:6379" in words) for words in starts] == [(True, False), (False, True)]
    commands = [words[1:] for words in given if words[0] == "vgil"]
    assert [words[:2] for words in commands] == [["episodes", "check"], ["dataset", "convert"]]
    for words in commands:
        assert words[words.index("--ray") + 1] == "node1:6379"
        assert_understood(words)
