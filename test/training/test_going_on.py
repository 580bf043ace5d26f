"""A run that ends early can go on or begin anew, and says why it ended, where it is and how long it will take."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import torch
import yaml
from support.training import Tree
from typer.testing import CliRunner

from vgil_ros.api import train
from vgil_ros.policies import load_policy
from vgil_ros.policies.base import Policy
from vgil_ros.policies.observation import Batch
from vgil_ros.training import checkpoints, validation
from vgil_ros.training import precision as precision_module
from vgil_ros.training.config import load_config, parse_config
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.non_finite import LONGEST, LossWatch, StepDone
from vgil_ros.training.precision import choose_precision, cpu_flags
from vgil_ros.training.run_log import CONFIG, LOG, RESUME, time_words
from vgil_ros.training.trainer import Trainer

TINY = {"policy": {"type": "act", "chunk_size": 4, "hidden_dim": 8, "heads": 2, "feedforward_dim": 8,
    "encoder_layers": 1, "cvae_layers": 1, "latent_dim": 2, "backbone": "small", "backbone_norm": "group"}}  # fmt: skip


def _trainer(tree: dict, said: list[str] | None = None, *, resume: bool = False) -> Trainer:
    log = (lambda _: None) if said is None else said.append
    return Trainer(parse_config({**tree, **TINY}, "test"), progress=False, log=log, resume=resume)


def _interrupt_at(trainer: Trainer, step: int, *, times: int = 1) -> None:
    learn = trainer.train_step.learn

    def learn_and_press(batch: dict, number: int) -> torch.Tensor:
        norm = learn(batch, number)
        for _ in range(times if number + 1 == step else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return norm

    setattr(trainer.train_step, "learn", learn_and_press)  # noqa: B010 - mypy takes it for a method


def test_ctrl_c_saves_the_step_that_was_under_way(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    changes = {"steps": 6, "checkpoint__every": 100}
    before = signal.getsignal(signal.SIGINT)
    whole = _trainer(tree(episodes, out=str(tmp_path / "whole"), **changes))
    whole.run()
    said: list[str] = []
    trainer = _trainer(tree(episodes, **changes), said)
    _interrupt_at(trainer, 3)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    out = tmp_path / "run"
    assert f"stopped at step 3; go on with: vgil train --resume {out}" in said
    assert signal.getsignal(signal.SIGINT) is before
    load_policy(out / "last")
    again = _trainer(tree(episodes, **changes), resume=True)
    assert again.step == 3
    again.run()
    for key, value in whole.policy.state_dict().items():
        assert torch.equal(value, again.policy.state_dict()[key]), key


def test_a_second_ctrl_c_stops_at_once_and_the_folder_may_be_begun_anew(tree: Tree, episodes: Path) -> None:
    said: list[str] = []
    trainer = _trainer(tree(episodes, checkpoint__every=100), said)
    _interrupt_at(trainer, 2, times=2)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert any("nothing was saved" in text and "begin anew with --out" in text for text in said)
    with pytest.raises(TrainingError, match=r"resume\.pt: no such file.*begin it anew, with --out"):
        _trainer(tree(episodes), resume=True)
    said.clear()
    assert _trainer(tree(episodes), said).run().steps == 4
    assert any("it is begun anew" in text for text in said)


def test_one_training_at_a_time_writes_a_folder(
    tree: Tree, episodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WORKERS_END_S", 0.0)
    out = tmp_path / "run"
    with checkpoints.alone_in(out):
        _trainer(tree(episodes, checkpoint__every=100))  # so far it has a log alone
        (out / LOG).write_text("mine")
        with pytest.raises(TrainingError, match=r"run: a training is at work there; allowed: one at a time"):
            train(episodes, out, settings={"steps": 1})
        assert (out / LOG).read_text() == "mine"
        monkeypatch.setenv("RANK", "1")  # of the same training
        with checkpoints.alone_in(out):
            pass
    monkeypatch.delenv("RANK")
    with checkpoints.alone_in(out):
        pass


def test_a_folder_with_checkpoints_alone_is_not_begun_anew(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    _trainer(tree(episodes, steps=1)).run()
    (tmp_path / "run" / RESUME).unlink()
    with pytest.raises(TrainingError, match=r"holds checkpoints, and no resume\.pt"):
        _trainer(tree(episodes, steps=1))


def test_a_run_goes_on_from_another_folder_and_with_data_that_was_moved(
    tree: Tree, episodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgil_ros.cli.main import app

    monkeypatch.chdir(tmp_path)
    _trainer(tree(Path("episodes"), out="run", steps=2)).run()
    kept = yaml.safe_load((tmp_path / "run" / CONFIG).read_text())
    assert kept["data"]["folders"][0]["path"] == str(episodes)
    assert kept["out"] == str(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    moved = episodes.rename(tmp_path / "moved")
    call = ["train", "--resume", str(tmp_path / "run"), "--steps", "4", "data.workers=0"]
    assert "no such folder" in CliRunner().invoke(app, call).stderr
    done = CliRunner().invoke(app, [*call, "--data", str(moved)])
    assert done.exit_code == 0, done.output
    assert "the cosine of the learning rate is stretched" in done.output
    assert "last checkpoint" in done.output


def test_a_run_goes_on_without_an_episode_that_was_found_bad(tree: Tree, episodes: Path) -> None:
    first = _trainer(tree(episodes, steps=2))
    held = {one.path for one in first.data.validation.episodes}
    first.run()
    gone = next(path for path in sorted(episodes.glob("*.hdf5")) if path not in held)
    gone.unlink()
    with pytest.raises(TrainingError, match=r"1 of its 3 episodes are not there, 0 are new.*--data .*--skip-bad"):
        _trainer(tree(episodes), resume=True)
    said: list[str] = []
    again = _trainer(tree(episodes, data__skip_bad=True), said, resume=True)
    assert any("goes on without 1 of 3 episodes" in text for text in said)
    assert {one.path for one in again.data.validation.episodes} == held, "what was validated on is not trained on"
    assert again.run().steps == 4


def test_a_loss_that_is_not_finite_names_the_value_it_comes_from(tree: Tree, episodes: Path) -> None:
    with h5py.File(episodes / "episode_1.hdf5", "r+") as file:
        file["action"][4, 2] = 1e30
    changes = {"data__accept_odd": True, "data__validation": 0, "log__every": 50, "checkpoint__every": 50, "steps": 40}
    trainer = _trainer(tree(episodes, **changes))
    for part in (trainer.policy.normalizer.action.mean, trainer.policy.normalizer.action.std):
        part.fill_(1.0)  # as if the value had come after the statistics were taken
    with pytest.raises(TrainingError, match=r"the loss is not finite.*episode_1\.hdf5: action of arm/joint2 is 1e\+30"):
        trainer.run()


def test_a_loss_that_is_not_finite_is_told_between_two_lines_of_the_log(tree: Tree, episodes: Path) -> None:
    changes = {"optimizer__lr": 1e30, "optimizer__clip_norm": None, "log__every": 50, "checkpoint__every": 3}
    words = r"step \d+: the loss is not finite.*smaller optimizer\.lr \(it was"
    with pytest.raises(TrainingError, match=words) as caught:
        _trainer(tree(episodes, steps=50, **changes)).run()
    assert "last good checkpoint" not in str(caught.value), "there is none"


def test_a_short_last_window_has_its_own_speed(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    _trainer(tree(episodes, steps=4, log__every=3, checkpoint__every=100)).run()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    first, last = (line for line in lines if line["kind"] == "train")
    window = last["seconds"] - first["seconds"]
    assert last["samples_per_s"] == pytest.approx(4 / window, rel=0.2)


def test_checkpoints_are_ranked_by_what_a_robot_would_play(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    """ACT's loss on validation episodes knows the actions, by its latent; a robot plays the latent of zero."""
    _trainer(tree(episodes, steps=4, checkpoint__every=2)).run()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    errors = {line["step"]: line["action_error"] for line in lines if line["kind"] == "validation"}
    best = load_policy(tmp_path / "run" / "best").state_dict()
    own = load_policy(tmp_path / "run" / f"step_{min(errors, key=errors.__getitem__):08d}").state_dict()
    assert all(torch.equal(best[key], own[key]) for key in best)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 avx512f", "fp32"), ("fpu avx512_bf16", "bf16"), ("fpu amx_bf16 amx_tile", "bf16")],
)
def test_precision_follows_from_what_the_cpu_has(
    flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision_module, "cpu_flags", lambda: cpu_flags(tmp_path / "cpuinfo"))
    chosen, words = choose_precision("auto", torch.device("cpu"))
    assert (chosen, f"precision: {expected} on cpu" in words) == (expected, True)
    forced, words = choose_precision("bf16", torch.device("cpu"))
    assert forced == "bf16"
    assert words.startswith("warning") == (expected == "fp32")
    assert cpu_flags(tmp_path / "none") == frozenset()


def test_every_shipped_configuration_leaves_the_precision_to_the_device() -> None:
    from vgil_ros.assets import share_dir

    for path in (share_dir() / "config" / "policies").glob("*.yaml"):
        assert load_config(path, [], {"data.folders": ["a"], "out": "b"}).precision == "auto", path


def test_a_run_of_days_on_a_cpu_is_told_before_its_first_step(
    tree: Tree, episodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    trainer = _trainer(tree(episodes, steps=10**9), said)
    before = {key: value.clone() for key, value in trainer.policy.state_dict().items()}
    _interrupt_at(trainer, 12)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    (words,) = [text for text in said if "on this CPU the run will take" in text]
    assert "weeks" in words
    assert "--config act_small" in words
    assert any(text.startswith("about ") and "to go" in text for text in said)
    rehearsed = _trainer(tree(episodes, out=str(episodes.parent / "other")))
    rehearsed.train_step.rehearse(rehearsed.data.train.batch([0]))
    assert all(torch.equal(value, rehearsed.policy.state_dict()[key]) for key, value in before.items())


def test_validation_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple] = []

    def bar(batches: Iterable, *given: object, **options: object) -> Iterable:
        shown.append((*given, options["disable"]))
        return batches

    monkeypatch.setattr(validation, "tqdm", bar)
    given: list[tuple[list[int], dict]] = [([0, 1], {}), ([2], {})]
    for progress, disabled in ((True, None), (False, True)):  # None: unless it is no terminal
        run = SimpleNamespace(_progress=progress, _batches=[[0, 1], [2]])
        assert list(validation.Validation._bar(run, given)) == given  # type: ignore[arg-type]
        assert shown.pop() == ("validation", 2, disabled)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(5, "5 s"), (200, "3 min"), (4000, "1 h 6 min"), (200_000, "2 days 7 h"), (2_000_000, "3 weeks 2 days")],
)
def test_times_in_words(seconds: float, expected: str) -> None:
    assert time_words(seconds) == expected


@pytest.mark.parametrize("when", ["in the last step", "in the last validation"])
def test_ctrl_c_at_the_very_end_loses_nothing(when: str, tree: Tree, episodes: Path, tmp_path: Path) -> None:
    changes = {"steps": 3, "checkpoint__every": 100}
    said: list[str] = []
    trainer = _trainer(tree(episodes, **changes), said)
    if when == "in the last step":
        _interrupt_at(trainer, 3)
    else:
        validate = trainer._validation.run

        def press_and_validate(policy: Policy, stop: Callable[[], bool]) -> dict[str, float]:
            os.kill(os.getpid(), signal.SIGINT)
            return validate(policy, stop)

        setattr(trainer._validation, "run", press_and_validate)  # noqa: B010 - mypy takes it for a method
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    out = tmp_path / "run"
    assert f"stopped at step 3; go on with: vgil train --resume {out}" in said
    last = load_policy(out / "last").state_dict()
    assert all(torch.equal(value, last[key]) for key, value in trainer.train_step.eval_policy.state_dict().items())
    assert not (out / "best").exists()
    again = _trainer(tree(episodes, **changes), resume=True)
    assert again.step == 3
    assert again.run().best is not None, "what was broken off is made up for"
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [3]
    once_more = _trainer(tree(episodes, **changes), resume=True)
    once_more.run()
    assert len((out / "log.jsonl").read_text().splitlines()) == len(lines), "and only once"


def _as_an_earlier_release_left_it(out: Path) -> None:
    """Neither the episodes' names in the state nor the settings that came with them."""
    state = torch.load(out / RESUME, weights_only=True)
    for key in ("episodes", "unfinished"):
        del state[key]
    torch.save(state, out / RESUME)
    kept = yaml.safe_load((out / CONFIG).read_text())
    for key in ("accept_odd", "aborted"):
        del kept["data"][key]
    (out / CONFIG).write_text(yaml.safe_dump(kept))


def test_a_run_of_an_earlier_release_goes_on_with_all_its_episodes(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    from vgil_ros.cli.main import app

    with h5py.File(episodes / "episode_0.hdf5", "r+") as file:
        file.attrs["aborted"] = "cam_a: nothing received"
    with h5py.File(episodes / "episode_1.hdf5", "r+") as file:
        file["action"][4, 2] = 1e4
    out = tmp_path / "run"
    _trainer(tree(episodes, steps=2, data__accept_odd=True, data__aborted=True)).run()
    _as_an_earlier_release_left_it(out)
    call = ["train", "--resume", str(out), "data.workers=0"]
    refused = CliRunner().invoke(app, [*call, "data.accept_odd=false"])
    assert "train from them all the same with data.accept_odd=true" in refused.stderr
    done = CliRunner().invoke(app, [*call, "--steps", "3", "data.accept_odd=true"])  # as the words say
    assert done.exit_code == 0, done.output
    _as_an_earlier_release_left_it(out)
    done = CliRunner().invoke(app, [*call, "--steps", "4"])
    assert done.exit_code == 0, done.output
    assert "begun by an earlier release" in done.output
    assert yaml.safe_load((out / CONFIG).read_text())["data"]["aborted"] is True
    done = CliRunner().invoke(app, [*call, "--steps", "5"])
    assert done.exit_code == 0, done.output
    assert "earlier release" not in done.output


def test_a_run_of_an_earlier_release_goes_on_without_an_episode_that_is_refused_now(
    tree: Tree, episodes: Path, tmp_path: Path
) -> None:
    _trainer(tree(episodes, steps=2)).run()
    _as_an_earlier_release_left_it(tmp_path / "run")
    gone = sorted(episodes.glob("*.hdf5"))[0]
    gone.write_bytes(gone.read_bytes()[:3000])
    with pytest.raises(TrainingError, match=r"episode_0\.hdf5.*--skip-bad"):
        _trainer(tree(episodes), resume=True)
    said: list[str] = []
    assert _trainer(tree(episodes, data__skip_bad=True), said, resume=True).run().steps == 4
    assert any("goes on with the 2 episodes that are there" in text for text in said)


def test_a_loss_on_a_gpu_is_looked_at_with_others_and_the_first_bad_one_is_named(tree: Tree, episodes: Path) -> None:
    trainer = _trainer(tree(episodes))
    watch = LossWatch(trainer.policy, trainer.data.train, torch.device("cuda"), episodes / "none")
    good, bad = torch.tensor(1.0), torch.tensor(float("nan"))

    def done(step: int, loss: torch.Tensor) -> StepDone:
        return StepDone(step, torch.tensor([step]), {"loss": loss}, good, (1e-4, 1e-4))

    watch.check(done(1, good), now=True)
    for step, loss in ((2, good), (3, bad), (4, bad)):
        watch.check(done(step, loss), now=False)
    with pytest.raises(TrainingError, match=r"^step 3: the loss is not finite \(loss nan\)"):
        watch.check(done(5, good), now=True)
    watch.look()
    for step in range(6, 6 + LONGEST - 1):
        watch.check(done(step, bad), now=False)
    with pytest.raises(TrainingError, match=r"^step 6: "):
        watch.check(done(99, good), now=False)


def test_a_run_that_goes_on_asks_for_no_room_that_its_files_have(
    tree: Tree, episodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _trainer(tree(episodes, steps=2)).run()
    held = sum(file.stat().st_size for file in (tmp_path / "run").rglob("*") if file.is_file())
    asked: list[int] = []
    monkeypatch.setattr(checkpoints, "need_room", lambda _, needed: asked.append(needed))
    _trainer(tree(episodes, steps=2, out=str(tmp_path / "other"))).run()
    _trainer(tree(episodes, steps=2), resume=True).run()
    anew, again = asked
    assert 0 < again < anew
    assert anew - again <= held


def test_the_action_error_is_computed_where_it_ranks_and_on_a_share_of_the_rows(
    tree: Tree, episodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    measured = validation.action_error

    def noted(policy: Policy, batch: Batch) -> torch.Tensor:
        assert not torch.is_autocast_enabled("cpu")
        asked.append(len(batch["qpos"]))
        return measured(policy, batch)

    monkeypatch.setattr(validation, "action_error", noted)
    changes = {"steps": 1, "batch_size": 2, "precision": "bf16"}
    _trainer(tree(episodes, out=str(tmp_path / "a"), checkpoint__metric="validation_loss", **changes)).run()
    assert asked == []
    trainer = _trainer(tree(episodes, out=str(tmp_path / "b"), **changes))
    trainer.run()
    rows = len(trainer.data.validation)
    assert sum(asked) == rows
    asked.clear()
    monkeypatch.setattr(validation, "SAMPLED_ROWS", 4)
    flow = {"type": "flow_matching", "chunk_size": 4, "hidden_dim": 8, "heads": 2, "feedforward_dim": 8,
        "encoder_layers": 1, "action_layers": 1, "backbone": "small", "backbone_norm": "group"}  # fmt: skip
    config = parse_config({**tree(episodes, out=str(tmp_path / "c"), **changes), "policy": flow}, "test")
    Trainer(config, progress=False, log=lambda _: None).run()
    assert 0 < sum(asked) <= 4 < rows
