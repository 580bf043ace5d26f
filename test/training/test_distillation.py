"""Reflow: what a student is taught, where it begins, and chains of them through `vgil train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import typer
from support.policies.contract import fitted
from support.policies.flow_matching import small
from support.policies.flow_toy import toy_batch, toy_chunks, toy_policy, train_toy
from support.training import Tree
from typer.testing import CliRunner

from vgil_ros.cli.train import train
from vgil_ros.policies import load_policy
from vgil_ros.policies.config import VectorSpec
from vgil_ros.policies.diagnostics.straightness import straightness
from vgil_ros.policies.flow_matching import FlowMatchingConfig, FlowMatchingPolicy
from vgil_ros.training.build import load_data, make_policy
from vgil_ros.training.config import parse_config
from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
from vgil_ros.training.data.scan import scan_folder
from vgil_ros.training.distillation import PairCache, Reflow, fingerprint_of, make_student, student_settings
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.trainer import Trainer

TINY_FLOW = {
    "type": "flow_matching", "chunk_size": 4, "hidden_dim": 32, "heads": 4, "feedforward_dim": 64, "encoder_layers": 1,
    "action_layers": 1, "backbone": "mobilenet_v3_small", "backbone_norm": "group", "dropout": 0.1, "padded_dim": 16,
}  # fmt: skip


def near(chunks: np.ndarray) -> np.ndarray:
    """(N,) bool: on one of the two modes, both joints alike."""
    return np.abs(np.abs(chunks) - 1).max(axis=1) < 0.35


def test_a_one_step_student_lands_on_both_modes() -> None:
    """The mean of the modes, 0, is what a policy that regresses actions would say, and one step of the teacher says."""
    torch.manual_seed(0)
    teacher = toy_policy()
    train_toy(teacher, 250)
    hasty = toy_policy(steps=1)
    hasty.load_state_dict(teacher.state_dict())
    student = make_student(teacher, teacher.config.model_copy(update={"steps": 1}))
    train_toy(student, 150, Reflow(teacher, 1))
    noise = torch.randn(600, 1, 3, generator=torch.Generator().manual_seed(1))
    ours, theirs, hurried = (toy_chunks(policy, noise) for policy in (teacher, student, hasty))
    assert near(ours).mean() > 0.9
    assert near(hurried).mean() < 0.1
    assert near(theirs).mean() > 0.85
    for sign in (-1, 1):
        assert (near(theirs) & (theirs[:, 0] * sign > 0)).mean() > 0.3, "both modes"
    assert (np.sign(ours[:, 0]) == np.sign(theirs[:, 0])).mean() > 0.93, "the same noise goes the same way"
    observation = [{"qpos": torch.zeros(200, 1), "images": {}}]
    bends = [straightness(policy, observation) for policy in (student, teacher)]
    assert bends[0] is not None
    assert bends[1] is not None
    assert bends[0] < 0.5 * bends[1]


def test_a_teacher_never_runs_in_training_mode_nor_learns() -> None:
    teacher = toy_policy(dropout=0.5).train()
    student = make_student(teacher, teacher.config.model_copy(update={"steps": 2}))
    reflow = Reflow(teacher, 2)
    student.train()
    batch = toy_batch(4, np.random.default_rng(0))
    first = reflow(batch)
    again = reflow.endpoint(batch, first["noise"])
    assert torch.equal(first["endpoint"], again), "nothing is dropped"
    before = fingerprint_of(teacher)
    student.compute_loss(first).loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert fingerprint_of(teacher) == before


def test_pairs_are_what_the_robot_would_get() -> None:
    teacher = toy_policy()
    batch = Reflow(teacher, 4)(toy_batch(64, np.random.default_rng(0)))
    assert {batch[key].dtype for key in ("noise", "endpoint", "time")} == {torch.float32}
    with torch.no_grad():
        chunk = teacher.predict_chunk({"qpos": batch["qpos"], "images": {}, "noise": batch["noise"]})
    torch.testing.assert_close(teacher.to_robot_units(batch["endpoint"]), chunk)
    own = torch.isin(batch["time"], torch.tensor([1.0, 0.75, 0.5, 0.25]))
    assert 0.3 < float(own.float().mean()) < 0.7


def test_several_noises_for_an_observation_are_as_many_observations() -> None:
    teacher, batch = toy_policy(), toy_batch(4, np.random.default_rng(0))
    batch["qpos"] = torch.randn(4, 1)
    taught = Reflow(teacher, 4, draws=3)(batch)
    assert taught["noise"].shape == taught["endpoint"].shape == (12, 1, 3)
    assert taught["time"].shape == (12,)
    each = {key: value.repeat_interleave(3, dim=0) for key, value in batch.items() if key != "images"}
    alone = {**each, "images": {}, **{key: taught[key] for key in ("noise", "endpoint", "time")}}
    torch.testing.assert_close(Reflow(teacher, 4).endpoint(alone, alone["noise"]), taught["endpoint"])
    student = toy_policy(steps=4)
    torch.testing.assert_close(student.compute_loss(taught).loss, student.compute_loss(alone).loss)


def test_a_student_of_one_step_learns_where_it_is_asked() -> None:
    assert set(Reflow(toy_policy(), 1).times(200, torch.device("cpu")).tolist()) == {1.0}


def test_the_student_learns_the_straight_line() -> None:
    """A field that is the line's own velocity has no loss, at whatever time, also where an episode had ended."""
    student = toy_policy()
    batch = {**toy_batch(8, np.random.default_rng(0)), "noise": torch.randn(8, 1, 3), "endpoint": torch.randn(8, 1, 3)}
    batch["is_pad"][:] = True
    line = batch["noise"] - batch["endpoint"]
    student.model.field.forward = lambda x, t, prefix, is_pad=None: line  # type: ignore[method-assign]
    assert float(student.compute_loss(batch).loss) == 0.0
    student.model.field.forward = lambda x, t, prefix, is_pad=None: line + 1.0  # type: ignore[method-assign]
    assert float(student.compute_loss(batch).loss) == pytest.approx(1.0)


def _train(tree: dict[str, Any]) -> tuple[FlowMatchingPolicy, list[str]]:
    said: list[str] = []
    Trainer(parse_config(tree, "test"), progress=False, log=said.append).run()
    policy = load_policy(Path(tree["out"]) / "last")
    assert isinstance(policy, FlowMatchingPolicy)
    return policy, said


def _untrained(made: dict[str, Any]) -> FlowMatchingPolicy:
    """A teacher as training begins with it, for what does not depend on what it has learned."""
    config = parse_config(made, "test")
    policy = make_policy(config, load_data(config, lambda _: None), lambda _: None)
    policy.save(Path(made["out"]) / "last")
    assert isinstance(policy, FlowMatchingPolicy)
    return policy.eval()


def test_a_chain_through_the_trainer(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    policies = [_untrained(tree(episodes, policy=dict(TINY_FLOW), out=str(tmp_path / "teacher")))]
    before = "teacher"
    for steps in (4, 1):
        settings = {"type": "flow_matching", "steps": steps, "hidden_dim": 64}
        made = tree(episodes, policy=settings, out=str(tmp_path / f"steps_{steps}"), steps=1)
        made["distillation"] = {"teacher": str(tmp_path / before / "last")}
        student, said = _train(made)
        assert any("from the teacher: hidden_dim 32 (not 64)" in words for words in said)
        policies.append(student)
        before = f"steps_{steps}"
    one = policies[-1]
    assert one.config.steps == 1
    played = tree(episodes, policy={"type": "flow_matching", "execution": {"mode": "open_loop"}})
    played["distillation"] = {"teacher": str(tmp_path / before / "last")}
    merged = student_settings(parse_config(played, "test"), one, print)
    assert merged.policy["execution"] == {"mode": "open_loop"}, "a student may be played in its own way"
    assert [(note.name, note.steps) for note in one.config.teachers] == [("last", 10), ("last", 4)]
    assert one.config.teachers[1].weights == fingerprint_of(policies[1])
    assert torch.equal(one.normalizer.action.mean, policies[0].normalizer.action.mean)
    resumed = Trainer(parse_config(made, "test"), resume=True, progress=False, log=lambda _: None)
    assert resumed.step == 1
    assert isinstance(resumed.data.policy, FlowMatchingConfig)
    assert len(resumed.data.policy.teachers) == 2


def test_the_field_alone_learns_and_sees_as_the_teacher_does(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    teacher = _untrained(tree(episodes, policy=dict(TINY_FLOW), out=str(tmp_path / "teacher")))
    made = tree(episodes, policy={"type": "flow_matching", "steps": 1, "draws": 2}, out=str(tmp_path / "one"), steps=2)
    made["distillation"] = {"teacher": str(tmp_path / "teacher" / "last"), "field_only": True}
    student, _ = _train(made)
    assert student.config.draws == 2
    theirs = teacher.state_dict()
    changed = {name for name, value in student.state_dict().items() if not torch.equal(value, theirs[name])}
    assert changed
    assert all(name.startswith("model.field.") for name in changed)


def test_another_teacher_does_not_go_on_with_its_student(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    teacher = tree(episodes, policy=dict(TINY_FLOW), out=str(tmp_path / "teacher"))
    _untrained(teacher)
    made = tree(episodes, policy={"type": "flow_matching", "steps": 1}, out=str(tmp_path / "student"), steps=1)
    made["distillation"] = {"teacher": str(tmp_path / "teacher" / "last")}
    _train(made)
    _untrained(teacher | {"seed": 5})
    with pytest.raises(
        TrainingError, match=r"distillation\.teacher .* has other weights \(\w+\).*; allowed: .* \(\w+\)"
    ):
        Trainer(parse_config(made, "test"), resume=True, progress=False, log=lambda _: None)


def test_the_command_takes_a_teacher(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    _untrained(tree(episodes, policy=dict(TINY_FLOW), out=str(tmp_path / "teacher")))
    app = typer.Typer()
    app.command()(train)
    out = tmp_path / "student"
    given = [
        "--policy", "flow_matching", "--teacher", tmp_path / "teacher" / "last", "--data", episodes, "--out", out,
        "--steps", 1, "--batch-size", 2, "policy.steps=1", "data.workers=0", "log.tensorboard=false",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(one) for one in given])
    assert done.exit_code == 0, done.output
    assert "from the teacher: chunk_size 4 (not 50)" in done.output
    config = load_policy(out / "last").config
    assert isinstance(config, FlowMatchingConfig)
    assert (config.steps, config.chunk_size, len(config.teachers)) == (1, 4, 1)


def test_kept_pairs_are_those_of_the_moment(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    """The folder is filled once, holds what the teacher says of each row, and is refused for another teacher."""
    _untrained(tree(episodes, policy={**TINY_FLOW, "steps": 2}, out=str(tmp_path / "teacher")))

    def student(name: str, **settings: Any) -> Trainer:
        made = tree(episodes, policy={"type": "flow_matching", "steps": 1}, out=str(tmp_path / name), steps=1)
        made["distillation"] = {
            "teacher": str(tmp_path / "teacher" / "last"), "cache": str(tmp_path / "pairs"), "draws": 2, **settings
        }  # fmt: skip
        made["augmentation"] = {"enabled": False}
        return Trainer(parse_config(made, "test"), progress=False, log=lambda _: None)

    trainer = student("first")
    pairs, reflow = trainer._teach, trainer._reflow
    assert isinstance(pairs, PairCache)
    assert reflow is not None
    batch = pairs(trainer.data.train.batch([3, 0, 5]))
    torch.testing.assert_close(reflow.endpoint(batch, batch["noise"]), batch["endpoint"], atol=1e-4, rtol=1e-4)
    assert not torch.equal(batch["noise"][0], batch["noise"][1])
    trainer.run()
    written = (tmp_path / "pairs" / "endpoints.npy").stat().st_mtime_ns
    student("second")
    assert (tmp_path / "pairs" / "endpoints.npy").stat().st_mtime_ns == written
    with pytest.raises(TrainingError, match=r"holds pairs of something else: teacher \w+ \(not \w+\)"):
        student("third", teacher=str(tmp_path / "first" / "last"))
    (tmp_path / "pairs" / "pairs.json").write_text("")
    with pytest.raises(TrainingError, match=r"pairs\.json: not readable as JSON"):
        student("fourth")


def test_kept_pairs_are_of_the_tasks_and_settings_of_the_moment(episodes: Path, tmp_path: Path) -> None:
    """Weights and images are the same; what the teacher is told, or how it reads the state, is not."""

    def keep(name: str, **changes: Any) -> PairCache:
        torch.manual_seed(0)
        cameras = [{"name": camera, "height": 48, "width": 64} for camera in ("cam_b", "cam_a")]
        teacher = fitted(FlowMatchingPolicy(small(state_dim=3, action_dim=3, cameras=cameras, **changes)))
        data = EpisodeDataset(scan_folder(episodes), SampleSpec(("cam_b", "cam_a"), 6))
        pairs = PairCache(tmp_path / name, data, Reflow(teacher, 1), 1)
        if not pairs.complete:
            pairs.build()
            size = (tmp_path / name / "endpoints.npy").stat()
            assert size.st_blocks * 512 >= size.st_size, "its room on the disk is taken at once"
        return pairs

    def relabel(task: str) -> None:
        with h5py.File(sorted(episodes.glob("*.hdf5"))[1], "r+") as file:
            file.attrs["task"] = task

    keep("told", task_dim=4, task="lift")
    keep("told", task_dim=4, dropout=0.5, seed=3, software="another version")
    keep("untold")
    relabel("open the drawer")
    with pytest.raises(TrainingError, match=r"something else: tasks \w+ \(not \w+\); take another"):
        keep("told", task_dim=4, task="lift")
    keep("untold")
    relabel("")
    keep("unlabelled", task_dim=4, task="lift")
    with pytest.raises(TrainingError, match="something else: tasks "):
        keep("unlabelled", task_dim=4, task="insert")
    with pytest.raises(TrainingError, match=r"something else: .*settings "):
        keep("untold", activation="relu")


def test_wrong_teachers_are_refused(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    config = parse_config(tree(episodes, out=str(tmp_path / "act")), "test")
    make_policy(config, load_data(config, print), print).save(tmp_path / "act" / "last")
    made = tree(episodes, policy={"type": "flow_matching"}, out=str(tmp_path / "student"))
    made["distillation"] = {"teacher": str(tmp_path / "act" / "last")}
    with pytest.raises(TrainingError, match="of type 'act', allowed: flow_matching, smolvla"):
        Trainer(parse_config(made, "test"), progress=False)
    toy = toy_policy()
    other = toy.config.model_copy(update={"state_dim": 2})
    with pytest.raises(TrainingError, match="state_dim: the episodes have 2, the teacher was trained with 1"):
        make_student(toy, other)
    felt = (VectorSpec(name="tcp", size=1, meaning="twist"),)
    with pytest.raises(TrainingError, match=r"vectors: taken are tcp \(twist\); the teacher was trained with none"):
        make_student(toy, toy.config.model_copy(update={"vectors": felt}))
    made["distillation"]["cache"] = str(tmp_path / "cache")
    made["augmentation"] = {"enabled": True}
    with pytest.raises(TrainingError, match="disable augmentation"):
        parse_config(made, "test")


def test_a_student_takes_its_teachers_vectors(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    toy = toy_policy()
    felt = (VectorSpec(name="tcp", size=1, meaning="pose"),)
    toy.config = toy.config.model_copy(update={"vectors": felt})
    made = tree(episodes, policy={"type": "flow_matching"}, out=str(tmp_path / "student"))
    made["distillation"] = {"teacher": str(tmp_path / "teacher")}
    config = parse_config(made, "test")
    assert student_settings(config, toy, lambda _: None).data.vectors == ("tcp",)
    assert felt[0].fits(VectorSpec(name="tcp", size=1)), "older ones do not tell"
    assert not felt[0].fits(VectorSpec(name="tcp", size=1, meaning="twist"))
