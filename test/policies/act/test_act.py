"""ACT: the shared contract in several shapes, and what is ACT's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.policies.act import small
from support.policies.contract import PolicyContract, fitted

from vgil_ros.policies import Policy, PolicyError
from vgil_ros.policies.act import ActPolicy
from vgil_ros.policies.act.model import kl_divergence
from vgil_ros.policies.nn.backbones import OURS, BackboneName, build_backbone, load_pretrained
from vgil_ros.policies.nn.positions import sine_grid, sine_table


class TestPublished(PolicyContract):
    def make_policy(self) -> Policy:
        return ActPolicy(small())


class TestBaseAndOneBackboneEach(PolicyContract):
    """An action wider than the state, one camera of another size, learned positions, the small backbone, no CVAE."""

    def make_policy(self) -> Policy:
        cameras = [{"name": "top", "height": 64, "width": 64}, {"name": "wrist", "height": 40, "width": 72}]
        config = small(
            action_dim=7,
            cameras=cameras,
            backbone="mobilenet_v3_small",
            backbone_norm="group",
            shared_backbone=False,
            positions="learned",
            cvae_layers=0,
            pre_norm=True,
            activation="gelu",
            decoder_layers=2,
            pad_head=False,
            normalization={"qpos": {"mode": "min_max"}, "action": {"mode": "unit"}, "images": {"mode": "min_max"}},
        )
        return ActPolicy(config)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", "mobilenet_v3_small", "small", "small_fine"])
def test_backbones_give_the_promised_grid(backbone: str) -> None:
    norm = "group" if backbone in OURS else "frozen"
    policy = fitted(ActPolicy(small(backbone=backbone, backbone_norm=norm, cameras=[{"name": "top"}]))).eval()
    with torch.no_grad():
        for height, width in ((64, 96), (50, 70), (33, 65)):
            image = np.zeros((1, height, width, 3), np.uint8)
            chunk = policy.predict_chunk({"qpos": np.zeros((1, 5), np.float32), "images": {"top": image}})
            assert chunk.shape == (1, 6, 5)
            assert isinstance(policy, ActPolicy)
            tokens, pos = policy.model.encode_images([torch.zeros(1, 3, height, width)])
            assert tokens.shape == (1, -(-height // 32) * -(-width // 32), 32)
            assert pos.shape == tokens.shape[1:]


@pytest.mark.parametrize("name", OURS)
def test_our_backbones_have_no_pretrained_weights(name: BackboneName) -> None:
    with pytest.raises(PolicyError, match=f"'{name}' has no pretrained weights: backbone_norm 'frozen'"):
        ActPolicy(small(backbone=name))
    with pytest.raises(PolicyError, match=f"'{name}' has no pretrained weights; those exist for \\['mobilenet"):
        load_pretrained(build_backbone(name, "group"), name)


def test_frozen_norm_does_not_learn() -> None:
    policy = ActPolicy(small())
    norms = [key for key, _ in policy.named_parameters() if "bn" in key]
    assert norms == []
    assert any("bn1.running_var" in key for key in policy.state_dict())


def test_eval_draws_nothing_and_training_draws_the_latent() -> None:
    policy = fitted(ActPolicy(small(dropout=0.0)))
    assert isinstance(policy, ActPolicy)
    qpos, image = torch.zeros(1, 5), [torch.rand(1, 3, 64, 96)] * 2
    action, pad = torch.rand(1, 6, 5), torch.zeros(1, 6, dtype=torch.bool)
    assert torch.equal(policy.model(qpos, image).action, policy.model(qpos, image).action)
    first, second = (policy.model(qpos, image, action, pad) for _ in range(2))
    assert torch.equal(first.mu, second.mu)
    assert not torch.equal(first.action, second.action)


def test_cvae_encoder_does_not_look_at_padding() -> None:
    model = ActPolicy(small(dropout=0.0)).eval().model
    assert model.cvae is not None
    action, pad = torch.rand(2, 6, 5), torch.zeros(2, 6, dtype=torch.bool)
    pad[:, 4:] = True
    other = action.clone()
    other[:, 4:] = 9.0
    torch.testing.assert_close(model.cvae(torch.zeros(2, 5), action, pad), model.cvae(torch.zeros(2, 5), other, pad))


def test_kl_is_that_of_torch() -> None:
    mu, logvar = torch.randn(3, 8), torch.randn(3, 8)
    ours = torch.distributions.Normal(mu, (logvar / 2).exp())
    expected = torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mu, logvar), expected)


def test_kl_near_the_prior_survives_bf16() -> None:
    mu, logvar = (0.01 * torch.randn(64, 32)).bfloat16(), (0.01 * torch.randn(64, 32)).bfloat16().requires_grad_()
    ours = torch.distributions.Normal(mu.double(), (logvar.detach().double() / 2).exp())
    expected = torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    kl = kl_divergence(mu, logvar)
    kl.backward()
    assert abs(kl.item() - expected.item()) < 0.02 * expected.item()
    assert logvar.grad is not None
    assert (logvar.grad != 0).float().mean() > 0.9


def test_loss_is_l1_plus_weighted_kl_in_normalised_units() -> None:
    policy = fitted(ActPolicy(small(kl_weight=3.0))).eval()
    contract = TestPublished()
    batch = contract.batch(policy)
    torch.manual_seed(5)
    out = policy.compute_loss(batch)
    torch.testing.assert_close(out.loss.detach(), out.parts["l1"] + 3.0 * out.parts["kl"])
    assert isinstance(policy, ActPolicy)
    torch.manual_seed(5)
    target = policy.normalizer.action(torch.from_numpy(batch["action"]))
    with torch.no_grad():
        found = policy.forward_normalized(batch, target, torch.from_numpy(batch["is_pad"])).action
    keep = ~torch.from_numpy(batch["is_pad"])[..., None]
    torch.testing.assert_close(out.parts["l1"], ((found - target).abs() * keep).mean())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 5}, "not divisible by heads"),
        ({"cameras": []}, "at least one camera"),
        ({"cameras": [{"name": "top"}, {"name": "top"}]}, "named twice"),
        ({"cameras": [{"name": "top", "height": 3}]}, "height and width"),
        ({"joint_names": ["a"]}, "1 joint_names for state_dim 5"),
        ({"backbone": "vgg"}, "resnet18"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        small(**changes)


def test_learned_positions_say_where_they_end() -> None:
    policy = fitted(ActPolicy(small(positions="learned", cameras=[{"name": "top"}]))).eval()
    image = np.zeros((1, 32, 51 * 32, 3), np.uint8)
    with pytest.raises(PolicyError, match="reach 50 rows and columns"):
        policy.predict_chunk({"qpos": np.zeros((1, 5), np.float32), "images": {"top": image}})


def test_sine_positions_by_hand() -> None:
    table = sine_table(7, 8)
    assert table[3, 0] == pytest.approx(np.sin(3.0), abs=1e-6)
    assert table[3, 5] == pytest.approx(np.cos(3.0 / 10000 ** (4 / 8)), abs=1e-6)
    grid = sine_grid(3, 4, 16, torch.device("cpu")).view(3, 4, 16)
    assert grid[1, 2, 0] == pytest.approx(np.sin(2 / 3 * 2 * np.pi), abs=1e-5)  # row 2 of 3
    assert grid[1, 2, 8] == pytest.approx(np.sin(3 / 4 * 2 * np.pi), abs=1e-5)  # column 3 of 4


def test_pretrained_weights_fill_the_backbone_or_say_why_not(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    file = tmp_path / "resnet18.pth"
    full = torchvision.models.resnet18(weights=None)
    torch.save(full.state_dict(), file)
    backbone = build_backbone("resnet18", "frozen")
    load_pretrained(backbone, "resnet18", file)
    assert torch.equal(backbone.state_dict()["layer4.1.conv2.weight"], full.layer4[1].conv2.weight)
    with pytest.raises(PolicyError, match="do not fit resnet34"):
        load_pretrained(build_backbone("resnet34", "frozen"), "resnet34", file)

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    with pytest.raises(PolicyError, match=r"cannot be downloaded \(no network\): fetch https://"):
        load_pretrained(backbone, "resnet18")
