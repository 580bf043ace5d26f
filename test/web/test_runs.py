"""Runs as the page sees them: folders, processes that outlive it, and forms that are wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

pytest.importorskip("nicegui")

from support.nodes.client import until

from vgil_ros.core.errors import VgilError
from vgil_ros.training.run_log import CONFIG, LOG
from vgil_ros.web.runs.child import Child, ChildFiles
from vgil_ros.web.runs.folder import Run, RunFolders, State, downsampled
from vgil_ros.web.runs.training import NewRun, Trainings, episode_folders
from vgil_ros.web.runs.way import FactFinder, Facts, Mark, way


def made_run(folder: Path, step: int, steps: int, *, last: bool = True) -> Path:
    """A run's folder as a training leaves it."""
    folder.mkdir(parents=True)
    config = {"policy": {"type": "act"}, "steps": steps, "batch_size": 4, "checkpoint": {"metric": "action_error"}}
    (folder / CONFIG).write_text(yaml.safe_dump(config))
    records = [
        {"kind": "train", "step": at, "loss": 1.0 / at, "samples_per_s": 8.0, "data_wait": 0.25}
        for at in range(1, step + 1)
    ]
    records += [{"kind": "validation", "step": step, "loss": 0.5, "action_error": 0.2}]
    (folder / LOG).write_text("".join(json.dumps(record) + "\n" for record in records) + '{"kind": "tr')
    os.utime(folder / LOG, (1e9, 1e9))
    if last:
        (folder / "last").mkdir()
        (folder / "last" / "policy.json").touch()
    return folder


def read(folder: Path) -> Run:
    return RunFolders(folder.parent).read(folder)


def test_a_runs_folder_tells_its_state_and_figures(tmp_path: Path) -> None:
    run = read(made_run(tmp_path / "half", 3, 10))
    assert (run.state, run.step, run.steps, run.policy) == (State.STOPPED, 3, 10, "act")
    assert run.best == ("action error", 0.2)
    assert run.samples_per_s == 8.0
    assert run.last("train", "data_wait") == 0.25
    assert run.checkpoint == tmp_path / "half" / "last"
    assert run.seconds_left is None, "it does not run"
    assert read(made_run(tmp_path / "whole", 10, 10)).state is State.DONE


def test_a_log_that_grew_a_moment_ago_is_written_by_somebody(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "one", 3, 10)
    os.utime(folder / LOG)
    run = read(folder)
    assert run.state is State.ELSEWHERE
    assert run.seconds_left == pytest.approx(7 * 4 / 8.0)


def test_folders_that_are_no_runs_are_left_out(tmp_path: Path) -> None:
    made_run(tmp_path / "one", 1, 2)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file.txt").touch()
    assert [run.name for run in RunFolders(tmp_path).all()] == ["one"]
    assert RunFolders(tmp_path / "nowhere").all() == []


def test_a_child_is_known_by_when_it_began_and_not_by_its_number_alone(tmp_path: Path) -> None:
    files = ChildFiles(tmp_path, "train")
    assert files.read() is None
    child = files.start(["--version"])
    assert until(lambda: (one := files.read()) is not None and one.code is not None and one, "it ended").code == 0
    assert not Child(os.getpid(), child.began, child.boot, ("vgil",)).alive, "another process of that number"
    assert "vgil_ros" in files.words()[-1]


def test_a_child_survives_whoever_started_it_and_is_found_again(tmp_path: Path) -> None:
    """Started by a process that is killed at once; stopped by this one."""
    code = (
        "import sys; from pathlib import Path; from vgil_ros.web.runs.child import ChildFiles;"
        f"print(ChildFiles(Path({str(tmp_path)!r}), 'train').start(['web', '--port', '0']).pid); sys.stdout.flush();"
        "import os; os._exit(0)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    files = ChildFiles(tmp_path, "train")
    child = files.read()
    assert child is not None
    assert (child.pid, child.alive) == (pid, True)
    with pytest.raises(VgilError, match="is being worked on"):
        files.start(["--version"])
    until(lambda: any(line.startswith("page: ") for line in files.words()), "it is up")
    files.stop()
    until(lambda: not child.alive, "it ended")
    stopped = files.read()
    assert stopped is not None
    assert stopped.asked_to_stop
    with pytest.raises(VgilError, match="allowed: one that runs"):
        files.stop()


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    for name, count in (("pick", 2), ("pour", 1), ("empty", 0)):
        (tmp_path / "episodes" / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "episodes" / name / f"episode_{number}.hdf5").touch()
    return Trainings(tmp_path / "runs", tmp_path / "episodes")


def test_folders_with_episodes_are_offered(trainings: Trainings) -> None:
    assert episode_folders(trainings.dataset_dir) == {"pick": 2, "pour": 1}
    assert episode_folders(trainings.dataset_dir / "pick") == {".": 2}


def test_a_form_becomes_a_configuration(trainings: Trainings) -> None:
    wish = NewRun("first", ("pick", "pour"), "act_small", {"steps": "30", "optimizer.lr": " 3e-5", "seed": ""})
    config = trainings.check(wish)
    assert (config.steps, config.optimizer.lr, config.policy["type"]) == (30, 3e-5, "act")
    assert [folder.path.name for folder in config.data.folders] == ["pick", "pour"]
    assert config.out == trainings.runs_dir.resolve() / "first"
    assert not trainings.runs_dir.exists(), "nothing is made by looking"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../out"}, "allowed: letters, digits"),
        ({"name": ""}, "allowed: letters, digits"),
        ({"data": ()}, "no data is chosen; allowed: pick, pour"),
        ({"data": ("../../etc",)}, "allowed: pick, pour"),
        ({"config": "/etc/passwd"}, "allowed: act, "),
        ({"settings": {"steps": "0"}}, "steps: found 0; allowed: "),
        ({"settings": {"steps": "many"}}, "steps: found 'many'"),
        ({"settings": {"optimizer.lrr": "1"}}, "lrr"),
        ({"settings": {"data.validation": "1.5"}}, "data.validation: found 1.5"),
        ({"settings": {"out": "/tmp/elsewhere"}}, "more settings name 'out' or 'data.folders'"),
        ({"settings": {"data.folders": "['/tmp/elsewhere']"}}, "more settings name 'out' or 'data.folders'"),
    ],
)
def test_what_is_wrong_with_a_form_is_said_in_words(
    trainings: Trainings, changes: dict[str, object], words: str
) -> None:
    given = {"name": "first", "data": ("pick",), "config": "act_small", "settings": {}, **changes}
    with pytest.raises(VgilError) as fault:
        trainings.check(NewRun(**given))  # type: ignore[arg-type]
    assert words in str(fault.value)


def test_a_link_out_of_the_runs_folder_is_refused(trainings: Trainings, tmp_path: Path) -> None:
    trainings.runs_dir.mkdir()
    (trainings.runs_dir / "out").symlink_to(tmp_path)
    with pytest.raises(VgilError, match="lies elsewhere"):
        trainings.run("out")


def test_runs_that_stand_or_have_nothing_to_go_on_from_are_told_so(trainings: Trainings) -> None:
    made_run(trainings.runs_dir / "half", 3, 10)
    with pytest.raises(VgilError, match="ended before its first checkpoint"):
        trainings.resume("half")
    with pytest.raises(VgilError, match="allowed: one that runs"):
        trainings.stop("half")
    with pytest.raises(VgilError, match="run 'other' is unknown; allowed: half"):
        trainings.resume("other")
    with pytest.raises(VgilError, match="is there already"):
        trainings.check(NewRun("half", ("pick",), "act_small"))
    (trainings.runs_dir / "half" / "resume.pt").touch()
    (trainings.runs_dir / "half" / "last" / "policy.json").unlink()
    with pytest.raises(VgilError, match="no checkpoint yet"):
        trainings.evaluate("half", "pick_place", 3)


def test_the_way_goes_on_from_what_is_there(tmp_path: Path) -> None:
    def marks(**changes: object) -> list[Mark]:
        facts = {"demo": False, "episodes": 0, "faulty": 0, "wanted": 5, "runs": [], **changes}
        return [step.mark for step in way(Facts(**facts))]  # type: ignore[arg-type]

    done, now, later = Mark.DONE, Mark.NOW, Mark.OPEN
    assert marks() == [now, *[later] * 5]
    assert marks(demo=True) == [done, now, *[later] * 4]
    assert marks(demo=True, episodes=5) == [done, done, done, now, later, later]
    assert marks(demo=True, episodes=5, faulty=1) == [done, done, now, later, later, later]
    trained = read(made_run(tmp_path / "whole", 10, 10))
    assert marks(demo=True, episodes=5, runs=[trained]) == [done, done, done, done, now, later]


def test_the_finder_counts_what_lies_in_the_folders(trainings: Trainings) -> None:
    facts = FactFinder(trainings).find(7)
    assert (facts.episodes, facts.wanted, facts.faulty, list(facts.runs)) == (3, 7, 3, [])  # three empty files


def test_a_long_curve_keeps_its_ends() -> None:
    points = [(step, float(step)) for step in range(1, 10_001)]
    few = downsampled(points)
    assert len(few) <= 400
    assert few[-1][0] == 10_000
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(few))


def test_the_pages_process_needs_no_torch() -> None:
    """A page that loads torch takes seconds and a gigabyte more."""
    code = "import sys, vgil_ros.web.server; sys.exit('torch' in sys.modules or 'mujoco' in sys.modules)"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, time.monotonic() - began
