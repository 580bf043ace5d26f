"""Tiny SmolVLAs made and saved by LeRobot 0.4, and what they answer: the golden files of the tests.

    HF_HUB_OFFLINE=1 PYTHON_OF_LEROBOT scripts/make_smolvla_golden.py test/policies/golden/smolvla_lerobot

Needs an environment with `lerobot[smolvla]` 0.4 alone, and no network: the tokenizer is trained on the spot, the VLM is
random. Weights are not stored: `fill.py` beside the folder makes them from the manifest's seed.

The folder then holds LeRobot's own files but for the weights, `vlm/` (what `--vlm` names), and case.npz: observations,
noise, the chunk of each observation by itself, of both as a batch, and of the same steps without the prefix's cache.
`variants.json` names what else was tried: changes of config.json, tensors of another shape.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

SEED = 7
SENTENCES = ("pick up the cube and place it on the plate", "insert the peg into the socket", "open the top drawer")
TASKS = ("pick up the cube", "insert the peg into the socket and let go")
JOINTS, CHUNK = 14, 6
SPECIAL = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}
CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "aloha": {"adapt_to_pi_aloha": True},
    "empty_cameras": {"empty_cameras": 2},
    "image_tokens": {"add_image_special_tokens": True, "empty_cameras": 1},
    "all_cross": {"self_attn_every_n_layers": 0},
    "self_attention": {"attention_mode": "self_attn"},
    "bfloat16": {"load_vlm_weights": True},
    "short_texts": {"tokenizer_max_length": 6, "pad_language_to": "max_length", "prefix_length": 32, "num_steps": 3},
}


def make_vlm(folder: Path) -> None:
    """Write config.json, tokenizer and image processor of a SmolVLM of two layers, 64 wide."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        PreTrainedTokenizerFast,
        SmolVLMConfig,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", *SPECIAL.values()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    end = "<|endoftext|>"
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=end, bos_token=end, eos_token=end, extra_special_tokens=SPECIAL
    )
    processor = SmolVLMProcessor(SmolVLMImageProcessor(), fast, SmolVLMVideoProcessor(), image_seq_len=4)
    processor.save_pretrained(folder)
    text = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "num_hidden_layers": 3, "vocab_size": tokenizer.get_vocab_size(),
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2,
        "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    SmolVLMConfig(text_config=text, vision_config=vision, scale_factor=2).save_pretrained(folder)


def make_policy(**changes: Any) -> Any:
    """A SmolVLA of LeRobot's with the weights that `fill.py` makes; it takes the first two of the VLM's layers.

    `load_vlm_weights` would look for weights of the VLM; what it does to its numbers is done here.
    """
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    inputs = {
        "observation.state": PolicyFeature(FeatureType.STATE, (JOINTS,)),
        "observation.images.top": PolicyFeature(FeatureType.VISUAL, (3, 24, 40)),
        "observation.images.wrist": PolicyFeature(FeatureType.VISUAL, (3, 32, 32)),
    }
    given: dict[str, Any] = {
        "input_features": inputs,
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (JOINTS,))},
        "device": "cpu",
        "chunk_size": CHUNK,
        "n_action_steps": 4,
        "max_state_dim": 16,
        "max_action_dim": 16,
        "resize_imgs_with_padding": (32, 32),
        "vlm_model_name": "vlm",
        "num_vlm_layers": 2,
        **changes,
        "load_vlm_weights": False,
    }
    policy = SmolVLAPolicy(SmolVLAConfig(**given)).eval()
    filled = {k: torch.from_numpy(fill(SEED, k, tuple(v.shape))) for k, v in policy.state_dict().items()}
    policy.load_state_dict(filled)
    if changes.get("load_vlm_weights"):
        policy.model.vlm_with_expert.vlm.to(torch.bfloat16)
    return policy


def fill(seed: int, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """See `fill.py` beside the golden folder."""
    spec = importlib.util.spec_from_file_location("fill", Path(__file__).parents[1] / "test/policies/golden/fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: np.ndarray = module.fill(seed, key, shape)
    return made


def statistics() -> dict[str, dict[str, torch.Tensor]]:
    """Of a data set that never was."""
    random = np.random.RandomState(SEED)
    out = {}
    for name in ("observation.state", "action"):
        numbers = {"mean": random.normal(size=JOINTS), "std": random.uniform(0.1, 0.5, JOINTS)}
        out[name] = {key: torch.tensor(value, dtype=torch.float32) for key, value in numbers.items()}
    return out


def make_case() -> dict[str, np.ndarray]:
    """Two observations, and noise for each."""
    random = np.random.RandomState(SEED + 1)
    return {
        "qpos": random.normal(size=(2, JOINTS)).astype(np.float32),
        "top": random.randint(0, 256, (2, 24, 40, 3)).astype(np.uint8),
        "wrist": random.randint(0, 256, (2, 32, 32, 3)).astype(np.uint8),
        "noise": random.normal(size=(2, CHUNK, 16)).astype(np.float32),
    }


def observed(case: dict[str, np.ndarray], rows: list[int]) -> dict[str, Any]:
    """As LeRobot's processors take it: one observation without a batch axis, or several with one."""
    pick: Any = rows[0] if len(rows) == 1 else rows
    frame: dict[str, Any] = {"observation.state": torch.from_numpy(case["qpos"][pick])}
    for camera in ("top", "wrist"):
        pixels = torch.from_numpy(case[camera][pick]).to(torch.float32) / 255
        frame[f"observation.images.{camera}"] = pixels.movedim(-1, -3).contiguous()
    frame["task"] = [TASKS[row] for row in rows] if len(rows) > 1 else TASKS[rows[0]]
    return frame


@torch.no_grad()
def uncached(policy: Any, batch: dict[str, Any], noise: torch.Tensor) -> torch.Tensor:
    """The same steps by the pass that LeRobot trains with: prefix and actions together, no cache."""
    from lerobot.policies.smolvla.modeling_smolvla import make_att_2d_masks

    batch = policy._prepare_batch(dict(batch))
    images, image_masks = policy.prepare_images(batch)
    model, state = policy.model, policy.prepare_state(batch)
    words, word_masks = batch["observation.language.tokens"], batch["observation.language.attention_mask"]
    x, steps = noise, policy.config.num_steps
    for step in range(steps):
        time = torch.full((len(x),), 1.0 - step / steps)
        prefix, prefix_pad, prefix_att = model.embed_prefix(images, image_masks, words, word_masks, state=state)
        suffix, suffix_pad, suffix_att = model.embed_suffix(x, time)
        pad, att = torch.cat([prefix_pad, suffix_pad], 1), torch.cat([prefix_att, suffix_att], 1)
        (_, out), _ = model.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(pad, att),
            position_ids=torch.cumsum(pad, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[prefix, suffix],
            use_cache=False,
            fill_kv_cache=False,
        )
        x = x - model.action_out_proj(out[:, -CHUNK:].to(torch.float32)) / steps
    actions = x[:, :, :JOINTS]
    return policy._pi_aloha_encode_actions(actions) if policy.config.adapt_to_pi_aloha else actions


def answers(policy: Any, before: Any, after: Any, case: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Chunks in robot units: one by one, as a batch, as a batch without the cache; (2, H, A) each."""
    noise = torch.from_numpy(case["noise"])
    single = []
    for row in (0, 1):
        policy.reset()
        chunk = policy.predict_action_chunk(before(observed(case, [row])), noise=noise[row : row + 1])
        single.append(after(chunk[0]).numpy())
    policy.reset()
    together = policy.predict_action_chunk(before(observed(case, [0, 1])), noise=noise)
    joint = uncached(policy, before(observed(case, [0, 1])), noise)
    return {
        "single": np.stack(single),
        "batch": np.stack([after(one).numpy() for one in together]),
        "uncached": np.stack([after(one).numpy() for one in joint]),
    }


def main(out: Path) -> None:
    """Write the folder anew."""
    from lerobot.policies.factory import make_pre_post_processors

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    os.chdir(out)  # so that LeRobot writes down `vlm`, not where it lay
    make_vlm(Path("vlm"))
    case, variants = make_case(), {}
    base: dict[str, list[int]] = {}
    results = dict(case)
    for name, changes in CHANGES.items():
        policy = make_policy(**changes)
        before, after = make_pre_post_processors(policy.config, dataset_stats=statistics())
        shapes = {key: list(value.shape) for key, value in policy.state_dict().items()}
        if not base:
            base = shapes
            for part in (policy, before, after):
                part.save_pretrained(".")
            Path("model.safetensors").unlink()
            Path("manifest.json").write_text(json.dumps({"seed": SEED, "tensors": shapes}, indent=0) + "\n")
        other = {key: shape for key, shape in shapes.items() if base[key] != shape}
        variants[name] = {"changes": changes, "tensors": other}
        for kind, chunk in answers(policy, before, after, case).items():
            results[f"{name}.{kind}"] = chunk
            off = np.abs(chunk - results[f"{name}.single"]).max()
            print(f"{name:16} {kind:9} up to {np.abs(chunk).max():.2f}, from single {off:.1e}")
    for path in Path().glob("*.safetensors"):
        path.chmod(0o644)
    Path("variants.json").write_text(json.dumps({"tasks": list(TASKS), "variants": variants}, indent=1) + "\n")
    np.savez_compressed("case.npz", **results)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
