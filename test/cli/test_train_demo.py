"""`vgil train-demo` and the card: the commands and their order, what is not done twice, what the card tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from support import checkpoints

from vgil_ros.assets import load_contract
from vgil_ros.cli.demo.recipes import RECIPES, Recipe
from vgil_ros.cli.demo.train_demo import _take, plan
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.metrics import Percentiles, Rollout, summarise
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.report import Machine, make_report
from vgil_ros.policies import load_policy
from vgil_ros.robots.worlds import usual_robot
from vgil_ros.training.config import load_config

CONFIG = """
policy: {type: act, chunk_size: 5, hidden_dim: 16, heads: 2, feedforward_dim: 16, encoder_layers: 1, cvae_layers: 0,
  latent_dim: 4, backbone: mobilenet_v3_small, backbone_norm: group}
data: {folders: [], validation: 0, workers: 0}
steps: 40
batch_size: 2
schedule: {warmup_steps: 1}
log: {tensorboard: false}
"""


def vgil(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vgil_ros.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=400, check=False)


def report(checkpoint: str, successes: int, **changes: Any) -> dict[str, Any]:
    """As `vgil eval --json` writes it."""
    over_ros, policy = changes.pop("over_ros", False), changes.pop("policy", "act")
    wanted = EvaluationPlan("pick_place", episodes=10, seed=500, **changes)
    rollouts = [Rollout(seed, n < successes, 100.0, 4.0, 400, 250) for n, seed in enumerate(wanted.seeds)]
    machine = Machine(inference_ms=Percentiles(), seconds=1.0)
    made = make_report(wanted.settings, summarise(rollouts, 4.0), machine, checkpoint=checkpoint, policy=policy,
                       over_ros=over_ros)  # fmt: skip
    return made.as_dict()


def test_a_card_tells_what_was_measured_and_how(tmp_path: Path) -> None:
    checkpoint = checkpoints.make("sim_single", tmp_path / "mine")
    files = []
    for name, made in {
        "plain": report("mine", 9),
        "ros": report("mine", 8, over_ros=True, execution="async"),
        "other": report("mine", 1, swap_images_from_seed=7),
        "odd": report("mine", 2, latency_ms=0.0, watchdog_ms=5000.0, episode_len=900),
    }.items():
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(made))
        files += ["--report", file]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("{steps: 100, batch_size: 8, seed: 3, precision: bf16, device: cpu}")
    log = [{"kind": "train", "step": n, "seconds": s} for n, s in ((1, 1800.0), (2, 3600.0), (3, 1800.0))]
    (tmp_path / "run" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    said = vgil("checkpoint", "card", checkpoint, *files, "--run", tmp_path / "run", "--data", "3 episodes",
                "--command", "vgil train a", "--command", "vgil train b", cwd=tmp_path)  # fmt: skip
    assert said.returncode == 0, said.stderr
    text = (checkpoint / "README.md").read_text()
    assert text.startswith("# mine\n")
    for words in (
        "| 9 of 10 | 60% to 98% | 100 | 250 | `vgil eval --checkpoint mine --task pick_place --episodes 10 --seed 500",
        "| through the real nodes, async, seeds 500 to 509 | 8 of 10 |",
        "another scene's images**, seeds 500 to 509 | 1 of 10 |",
        "--swap-images-from-seed 7`",
        "--over-ros`",
        "seeds 500 to 509, 0 ms of latency, 5000 ms of watchdog, 900 ticks each | 2 of 10",
        "--latency-ms 0 --watchdog-ms 5000 --episode-len 900`",
        "100 steps of 8 samples, seed 3, bf16 on cpu, 1.5 h",
        "3 episodes",
        "vgil train a\nvgil train b",
        "weights in fp32",
    ):
        assert words in text, text
    load_policy(checkpoint)


def test_what_is_no_report_is_named(tmp_path: Path) -> None:
    checkpoint = checkpoints.make("sim_single", tmp_path / "mine")
    (tmp_path / "no.json").write_text("{}")
    said = vgil("checkpoint", "card", checkpoint, "--report", tmp_path / "no.json", cwd=tmp_path)
    assert said.returncode == 2
    assert "no.json: is no report of vgil eval --json" in said.stderr


def test_a_report_of_another_policy_is_not_taken(tmp_path: Path) -> None:
    checkpoint = checkpoints.make("sim_single", tmp_path / "mine")
    (tmp_path / "other.json").write_text(json.dumps(report("other", 3, policy="diffusion")))
    said = vgil("checkpoint", "card", checkpoint, "--report", tmp_path / "other.json", cwd=tmp_path)
    assert said.returncode == 2
    assert "other.json is of another policy: its policy is diffusion; allowed: act" in said.stderr
    assert not (checkpoint / "README.md").exists()


def test_a_run_that_was_cut_off_goes_on_and_the_card_shows_the_whole_command(tmp_path: Path) -> None:
    recipe = Recipe("sim_single", "pick_place", "act_small", 5, settings=("seed=2",), rollouts=3, over_ros=2)
    given = (tmp_path / "out", tmp_path / "work", 1, ["steps=7"])
    fresh = plan(recipe, *given)
    assert [step.arguments[0] for step in fresh] == ["episodes", "train", "checkpoint", "eval", "eval", "eval",
                                                     "checkpoint"]  # fmt: skip
    assert fresh[1].arguments[-2:] == ("seed=2", "steps=7")
    (tmp_path / "work" / "run").mkdir(parents=True)
    (tmp_path / "work" / "run" / "resume.pt").touch()
    again = plan(recipe, *given)
    assert "--resume" in again[1].arguments
    assert again[-1].arguments == fresh[-1].arguments
    assert fresh[1].line in again[-1].arguments
    assert len(plan(replace(recipe, over_ros=0), *given)) == len(fresh) - 1, "without ROS where none is asked for"
    assert "--episode-len" not in fresh[0].arguments
    assert "--episode-len 350" in plan(replace(recipe, episode_len=350), *given)[0].line


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_names_what_there_is(name: str) -> None:
    recipe = RECIPES[name]
    contract, _ = load_contract(recipe.robot)
    assert usual_robot(recipe.task) == contract.name
    config = load_config(recipe.config, ["data.folders=[{path: episodes}]", "out=run", *recipe.settings])
    assert config.policy["type"] in name


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "model").write_text("sim_pick_place_act\n")
    said = vgil("train-demo", "--model", "sim_pick_place_flow_matching", "--work", "work", cwd=tmp_path)
    assert said.returncode == 2
    assert "--work work holds the pieces of sim_pick_place_act; allowed for sim_pick_place_flow_matching" in said.stderr
    assert not (tmp_path / "work" / "episodes").exists()


def test_episodes_of_somebody_else_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "work" / "episodes").mkdir(parents=True)
    mine = tmp_path / "work" / "episodes" / "episode_0.hdf5"
    mine.write_bytes(b"mine")
    said = vgil("train-demo", "--work", "work", cwd=tmp_path)
    assert said.returncode == 2
    assert "work/episodes: is not of this command; allowed: another --work" in said.stderr
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "work" / "model").exists()


def test_pieces_that_were_made_with_other_settings_are_not_taken(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "run").mkdir(parents=True)
    recipe = RECIPES["sim_pick_place_act"]
    _take(work, "sim_pick_place_act", recipe, ["steps=2000"])
    _take(work, "sim_pick_place_act", recipe, ["steps=2000"])
    said = vgil("train-demo", "--work", "work", "steps=4000", cwd=tmp_path)
    assert said.returncode == 2
    assert "work/run was made with '--config sim_pick_place_act steps=2000', asked for is" in said.stderr
    (work / "episodes").mkdir()
    with pytest.raises(VgilError, match=r"episodes was made with '300 episodes', asked for is '20 episodes'"):
        _take(work, "sim_pick_place_act", replace(recipe, episodes=20), ["steps=2000"])
    (work / "model").write_text("sim_pick_place_act\n")  # as the first release wrote it
    _take(work, "sim_pick_place_act", recipe, ["steps=4000"])


def test_ctrl_c_leaves_a_command_the_time_to_save(tmp_path: Path) -> None:
    """As a terminal does it: the signal goes to the whole group."""
    program = tmp_path / "ask.py"
    program.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from vgil_ros.cli.demo import train_demo\n"
        "child = 'import signal, time, pathlib; print(1, flush=True); signal.sigwait([signal.SIGINT]);'\n"
        "child += ' time.sleep(1.5); pathlib.Path(\"saved\").touch(); raise SystemExit(130)'\n"
        "child = 'import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]);' + child\n"
        "step = train_demo.Stage('wait', (), Path('none'))\n"
        "popen = train_demo.subprocess.Popen\n"
        f"train_demo.subprocess.Popen = lambda command: popen([{sys.executable!r}, '-c', child])\n"
        "raise SystemExit(train_demo._run(step))\n"
    )
    with subprocess.Popen(
        [sys.executable, program], cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True
    ) as asked:
        assert asked.stdout is not None
        assert asked.stdout.readline() == b"1\n"
        os.killpg(asked.pid, signal.SIGINT)
        assert asked.wait(30) == 130
    assert (tmp_path / "saved").exists()


def test_a_model_that_there_is_not_is_named(tmp_path: Path) -> None:
    said = vgil("train-demo", "--model", "sim_fold_towel", cwd=tmp_path)
    assert said.returncode == 2
    assert "--model is 'sim_fold_towel'; allowed: sim_pick_place_act, " in said.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_nothing_to_a_measured_checkpoint_and_again(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    asked = ["train-demo", "--out", "models/tiny", "--work", "work", "--config", "tiny.yaml", "--episodes", 2,
             "--rollouts", 1, "--over-ros", 0, "--workers", 1, "steps=2"]  # fmt: skip
    said = vgil(*asked, cwd=tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    made = tmp_path / "models" / "tiny"
    assert load_policy(made).config.weights == "bf16"
    text = (made / "README.md").read_text()
    assert "0 of 1" in text
    assert "2 steps of 2 samples" in text
    assert str(tmp_path) not in text
    seen = json.loads((tmp_path / "work" / "generated.json").read_text())["episodes"]
    assert min(one["seed"] for one in seen) == 100_000
    assert not {one["seed"] for one in seen} & {20_000}
    again = vgil(*asked, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("done before") == 4
