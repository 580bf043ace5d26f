"""The checkpoint folder: what is overwritten and what is not, what `show` tells, what a crash leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.policies.act import small
from support.policies.contract import fitted
from support.policies.peers import GOLDEN

from vgil_ros.policies import CheckpointError, Policy, PolicyError, describe_checkpoint, load_policy
from vgil_ros.policies import storage as module
from vgil_ros.policies.act import ActPolicy
from vgil_ros.policies.familiar import FILE as FAMILIAR_FILE
from vgil_ros.policies.reference import REFERENCE_FILE


@pytest.fixture
def policy() -> Policy:
    torch.manual_seed(0)
    return fitted(ActPolicy(small(backbone="mobilenet_v3_small", fingerprint="abc", rate_hz=30))).eval()


def test_show_tells_what_it_is(policy: Policy, tmp_path: Path) -> None:
    info = describe_checkpoint(policy.save(tmp_path / "checkpoint"))
    assert (info.config.fingerprint, info.config.rate_hz) == ("abc", 30)
    assert info.parameters == sum(p.numel() for p in policy.parameters())
    assert info.weight_bytes > 4 * info.parameters


def test_what_is_no_checkpoint_is_not_overwritten(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="not overwritten"):
        policy.save(tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="is not a folder"):
        policy.save(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    policy.save(tmp_path / "empty")
    load_policy(tmp_path / "empty")


def test_what_was_measured_of_a_policy_goes_with_it_and_what_is_anybodys_stays(policy: Policy, tmp_path: Path) -> None:
    folder = policy.save(tmp_path / "checkpoint")
    for name in (FAMILIAR_FILE, REFERENCE_FILE, "README.md"):
        (folder / name).write_text("of the first")
    policy.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.safetensors", "policy.json"]


def test_one_that_comes_with_the_package_is_described_by_its_name() -> None:
    info = describe_checkpoint("sim_pick_place_act")
    assert (info.config.type, info.directory.name) == ("act", "sim_pick_place_act")
    assert info.weight_bytes > 1000


def test_a_crash_while_writing_leaves_the_old_one(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = policy.save(tmp_path / "checkpoint")
    before = load_policy(folder).state_dict()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", crash)
    with pytest.raises(KeyboardInterrupt):
        fitted(policy, seed=5).save(folder)
    assert all(torch.equal(value, before[key]) for key, value in load_policy(folder).state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_weights_that_are_not_finite_are_not_saved(policy: Policy, tmp_path: Path) -> None:
    with torch.no_grad():
        next(p for n, p in policy.named_parameters() if n.endswith("action_head.bias"))[0] = float("nan")
    with pytest.raises(CheckpointError, match=r"cannot be saved: model\.action_head\.bias"):
        policy.save(tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def test_weights_missing_or_broken(policy: Policy, tmp_path: Path) -> None:
    folder = policy.save(tmp_path / "checkpoint")
    weights = folder / module.WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_policy(folder)
    weights.unlink()
    with pytest.raises(CheckpointError, match="the checkpoint has no weights"):
        load_policy(folder)


def test_a_normaliser_of_another_kind_or_size_is_refused(policy: Policy) -> None:
    wider = fitted(ActPolicy(small(backbone="mobilenet_v3_small", action_dim=9)))
    with pytest.raises(PolicyError, match=r"action\.mean has shape \(9,\), allowed \(5,\)"):
        policy.set_normalizer(wider.normalizer)
    other = fitted(ActPolicy(small(backbone="mobilenet_v3_small", normalization={"action": {"mode": "unit"}})))
    with pytest.raises(PolicyError, match="the policy's is"):
        policy.set_normalizer(other.normalizer)


def test_others_may_read_what_is_saved(policy: Policy, tmp_path: Path) -> None:
    folder = policy.save(tmp_path / "saved")
    assert [oct(path.stat().st_mode)[-3:] for path in sorted(folder.iterdir())] == ["644", "644"]


# Of a small policy of each type: policy.json, and the shapes of model.safetensors.
RELEASED = json.loads((GOLDEN / "release_0_1_0" / "checkpoints.json").read_text())


@pytest.mark.parametrize("kind", RELEASED)
def test_what_the_first_release_wrote_loads_and_is_written_alike(kind: str, tmp_path: Path) -> None:
    config, shapes = RELEASED[kind]["policy.json"], RELEASED[kind]["model.safetensors"]
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / module.CONFIG_FILE).write_text(json.dumps(config))
    weights = {key: torch.zeros(shape) for key, shape in shapes.items()}
    scales = (".std", ".max", "_std", "_max")  # what is divided by
    weights |= {key: torch.ones(shape) for key, shape in shapes.items() if key.endswith(scales)}
    save_file(weights, folder / module.WEIGHTS_FILE)
    again = load_policy(folder).save(tmp_path / "new")
    since = {"draws": 1} if kind in ("flow_matching", "diffusion") else {}  # what is said since then, as it was
    expected = {**config, **since, "software": module.software_name()}
    assert json.loads((again / module.CONFIG_FILE).read_text()) == expected
    assert {key: list(value.shape) for key, value in load_file(again / module.WEIGHTS_FILE).items()} == shapes
