"""SmolVLA as LeRobot saves it, and what of its vision-language model the folder does not hold: sizes and tokenizer.

Nothing is downloaded: both lie in a folder, such as a copy of HuggingFaceTB/SmolVLM2-500M-Video-Instruct.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vgil_ros.extras import needed_by
from vgil_ros.policies.config import UNSCALED
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.lerobot_folder import (
    LerobotFolder,
    common_values,
    open_loop,
    other_names,
    processor_steps,
    read_folder,
    read_json,
)
from vgil_ros.policies.importers.state import Imported, fill_policy, make_config, need, rename, without_prefix
from vgil_ros.policies.smolvla.config import SmolVlaConfig
from vgil_ros.policies.smolvla.language import TOKENIZER_FILE, TaskTokenizer
from vgil_ros.policies.smolvla.policy import SmolVlaPolicy
from vgil_ros.policies.smolvla.vlm import NEEDED_BY, offline

SMOLVLA = "smolvla"
NEW_LINE, TOKENIZER = "smolvla_new_line_processor", "tokenizer_processor"
_EMPTY = "observation.images.empty_camera_"
_PREFIX, _BOTH = "model.", "vlm_with_expert."
_RULES = {
    f"{_BOTH}vlm.model.vision_model.": "prefix.vlm.vision_model.",
    f"{_BOTH}vlm.model.connector.": "prefix.vlm.connector.",
    f"{_BOTH}vlm.model.text_model.embed_tokens.": "prefix.vlm.embed_tokens.",
    f"{_BOTH}vlm.model.text_model.layers.": "prefix.vlm.layers.",
    f"{_BOTH}lm_expert.layers.": "field.layers.",
    f"{_BOTH}lm_expert.norm.": "field.norm.",
    "state_proj.": "prefix.state_proj.",
    **{f"{name}.": f"field.{name}." for name in (
        "action_in_proj", "action_out_proj", "action_time_mlp_in", "action_time_mlp_out",
    )},
}  # fmt: skip
_UNUSED = (f"{_BOTH}vlm.lm_head.", f"{_BOTH}vlm.model.text_model.norm.")  # they make words, not keys and values
_SETTINGS = {
    "chunk_size": "chunk_size",
    "padded_dim": "max_action_dim",
    "steps": "num_steps",
    "min_period": "min_period",
    "max_period": "max_period",
    "adapt_to_pi_aloha": "adapt_to_pi_aloha",
    "empty_cameras": "empty_cameras",
}
_OTHERS = (
    "max_state_dim", "num_vlm_layers", "self_attn_every_n_layers", "attention_mode", "resize_imgs_with_padding",
    "tokenizer_max_length", "add_image_special_tokens", "load_vlm_weights",
)  # fmt: skip


def import_smolvla(
    source: Path, values: dict[str, Any], robot: Mapping[str, object], vlm: Path | None, *, scaled: bool = True
) -> Imported:
    """Read a folder of LeRobot's whose config.json is `values`.

    Args:
        robot: of the robot, as configuration values.
        vlm: the folder of its vision-language model.
        scaled: whether its statistics are needed; without them it is for a training to begin with, and no robot's.

    Raises:
        CheckpointError: a file is missing, a setting is not supported, anything missing, unknown or mismatched.
    """
    if vlm is None:
        raise CheckpointError(
            f"{source}: is a SmolVLA; config.json and {TOKENIZER_FILE} of its vision-language model "
            f"({values.get('vlm_model_name', 'SmolVLM2')}) are needed: name the folder that holds them (--vlm DIR)"
        )
    seen = {name: one for name, one in values.get("input_features", {}).items() if not name.startswith(_EMPTY)}
    folder = read_folder(source, {**values, "input_features": seen}, (NEW_LINE, TOKENIZER), scaled=scaled)
    state = without_prefix(folder.state, _PREFIX, folder.where)
    model, content = _vlm_sizes(vlm), _tokenizer_file(vlm)
    sizes = {**_sizes(folder, state, model), "max_words": _max_words(source, folder)}
    named = {} if scaled else {"source": UNSCALED}
    config = make_config(SmolVlaConfig, {**common_values(folder), **named, **sizes, **robot}, folder.where)
    config = _with_image_tokens(config, values["add_image_special_tokens"], content)
    dropped = [key for key in state if key.startswith(_UNUSED)]
    weights = rename({key: value for key, value in state.items() if key not in dropped}, _RULES, folder.where)
    policy = fill_policy(SmolVlaPolicy(config), weights, folder.normalizer, folder.where)
    policy.set_files({TOKENIZER_FILE: content})
    told = (
        *other_names(config),
        *folder.not_read(),
        f"the vision-language model's sizes and tokenizer are those of {vlm}",
    )
    if not scaled:
        told += ("statistics are left out: it is for a training to begin with, and no robot runs it",)
    if values["load_vlm_weights"]:
        told += ("it computes in float32 here; LeRobot has it in bfloat16",)
    else:
        told += ("it was in float32 in LeRobot, whose transformers 4.57 then has patches one place too low: so here",)
    return Imported(policy, folder.source_format, tuple(_PREFIX + key for key in dropped), told)


def _sizes(folder: LerobotFolder, state: Mapping[str, Tensor], vlm: dict[str, Any]) -> dict[str, object]:
    """Configuration values out of config.json, the vision-language model's, and the shapes of the expert."""
    folder.only({"n_obs_steps": 1, "use_delta_joint_actions_aloha": False, "use_peft": False})
    folder.need([*_SETTINGS.values(), *_OTHERS])
    values, where, side = folder.values, folder.where, vlm["vision"]["image_size"]
    if values["max_state_dim"] != values["max_action_dim"]:
        raise CheckpointError(
            f"{where}: max_state_dim = {values['max_state_dim']}, allowed is max_action_dim, {values['max_action_dim']}"
        )
    if list(values["resize_imgs_with_padding"] or ()) != [side, side]:
        raise CheckpointError(
            f"{where}: resize_imgs_with_padding = {values['resize_imgs_with_padding']}, allowed is [{side}, {side}], "
            "the image_size of the vision-language model"
        )
    layers, most = values["num_vlm_layers"], vlm["text"]["layers"]
    layers = layers if layers > 0 else most
    if layers > most:
        raise CheckpointError(f"{where}: num_vlm_layers = {layers}, allowed are the model's {most} or fewer")
    if values.get("num_expert_layers", -1) not in (-1, 0, layers):
        raise CheckpointError(
            f"{where}: num_expert_layers = {values['num_expert_layers']}, allowed is num_vlm_layers, {layers}, or -1"
        )
    crossing = "cross" in values["attention_mode"]
    return {
        **{ours: values[theirs] for ours, theirs in _SETTINGS.items()},
        **vlm,
        "text": {**vlm["text"], "layers": layers},
        "expert_dim": need(state, "action_in_proj.weight", where).shape[0],
        "expert_feedforward_dim": need(state, f"{_BOTH}lm_expert.layers.0.mlp.gate_proj.weight", where).shape[0],
        # in bfloat16, as weights of the vision-language model are loaded, LeRobot's patches lie where they are
        "patch_positions": "even" if values["load_vlm_weights"] else "lower",
        "self_attention_every": max(values["self_attn_every_n_layers"], 0) if crossing else 1,
        "execution": open_loop(values),
    }


def _vlm_sizes(folder: Path) -> dict[str, Any]:
    """`text`, `vision` and `scale_factor` of a SmolVLM's config.json; what it leaves out is transformers' default."""
    path = folder / "config.json"
    values = read_json(path)
    if values.get("model_type") != "smolvlm":
        raise CheckpointError(f"{path}: model_type = {values.get('model_type')!r}, allowed is 'smolvlm'")
    offline()
    with needed_by(NEEDED_BY):
        from transformers import SmolVLMConfig
    config = SmolVLMConfig(**values)
    text, vision = config.text_config, config.vision_config
    for part, name, allowed in (
        (text, "model_type", "llama"), (text, "hidden_act", "silu"), (text, "attention_bias", False),
        (text, "mlp_bias", False), (vision, "hidden_act", "gelu_pytorch_tanh"), (vision, "num_channels", 3),
    ):  # fmt: skip
        if getattr(part, name, allowed) != allowed:
            raise CheckpointError(f"{path}: {name} = {getattr(part, name)!r}, allowed is {allowed!r}")
    return {
        "text": {
            "hidden_dim": text.hidden_size,
            "heads": text.num_attention_heads,
            "kv_heads": text.num_key_value_heads,
            "head_dim": text.head_dim,
            "feedforward_dim": text.intermediate_size,
            "layers": text.num_hidden_layers,
            "vocabulary": text.vocab_size,
            "norm_eps": text.rms_norm_eps,
        },
        "vision": {
            "hidden_dim": vision.hidden_size,
            "heads": vision.num_attention_heads,
            "feedforward_dim": vision.intermediate_size,
            "layers": vision.num_hidden_layers,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "norm_eps": vision.layer_norm_eps,
        },
        "scale_factor": config.scale_factor,
    }


def _tokenizer_file(folder: Path) -> bytes:
    path = folder / TOKENIZER_FILE
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); needed is the tokenizer of the vision-language model"
        ) from None


def _max_words(source: Path, folder: LerobotFolder) -> int:
    """How many tokens of a task are read, as the processor says, or config.json where there is none."""
    path, longest = source / "policy_preprocessor.json", folder.values["tokenizer_max_length"]
    if folder.old or not path.is_file():
        return int(longest)
    steps = {str(step.get("registry_name")): step.get("config", {}) for step in processor_steps(path)}
    if missing := [name for name in (NEW_LINE, TOKENIZER) if name not in steps]:
        raise CheckpointError(f"{path}: lacks {', '.join(missing)}: it is unknown how a task becomes tokens")
    settings = steps[TOKENIZER]
    if settings.get("truncation", True) is not True or settings.get("task_key", "task") != "task":
        raise CheckpointError(f"{path}: {TOKENIZER} is {settings}, allowed: truncation, and the task as 'task'")
    return int(settings.get("max_length", longest))


def _with_image_tokens(config: SmolVlaConfig, wanted: bool, content: bytes) -> SmolVlaConfig:
    """The tokens around images, where the policy has them."""
    if not wanted:
        return config.model_copy(update={"empty_cameras": 0})  # their images are masked, and nothing else is there
    tokenizer = TaskTokenizer(content, config.text.vocabulary, config.max_words)
    border, whole = (tokenizer.token(name) for name in ("<fake_token_around_image>", "<global-img>"))
    return config.model_copy(update={"image_start": (border, whole), "image_end": (border,)})
