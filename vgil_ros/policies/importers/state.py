"""Tools for foreign state dicts: read them without running code, rename their keys, infer sizes from shapes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from vgil_ros.core.config import validate
from vgil_ros.policies.base import Policy
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.foreign_file import require_weights_file
from vgil_ros.policies.nn.backbones import BackboneName
from vgil_ros.policies.normalizer import Normalizer
from vgil_ros.policies.storage import check_keys

# torchvision's ResNet in an nn.Sequential without its last two parts: places instead of names
SEQUENTIAL_RESNET = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}

WRAPPERS = ("model", "state_dict", "model_state_dict")  # under which people save a state dict beside other things
PARALLEL = ("module", "_orig_mod")

Config = TypeVar("Config", bound=PolicyConfig)
AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


@dataclass(frozen=True)
class Imported:
    """A policy made from a foreign checkpoint; keys that were left out on purpose, and what had to be assumed."""

    policy: Policy
    source_format: str
    dropped: tuple[str, ...]
    assumed: tuple[str, ...]


def read_weights(path: Path) -> object:
    """Read what was `torch.save`d, with `weights_only`.

    Raises:
        CheckpointError: the file cannot be read, is something else, would run code, or unpacks to more than it is.
    """
    require_weights_file(path)
    try:
        # a pickle outside of an archive may claim to be followed by any number of bytes: only what is there is given
        source = path if zipfile.is_zipfile(path) else io.BytesIO(path.read_bytes())
        content: object = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist") from None
    except Exception as error:  # torch wraps the unpickler's errors; its words name the global that was asked for
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = f"it asks for the global {asked[1]}, only weights are read" if asked else _plain_words(error)
        raise CheckpointError(f"{path} refused: {why}") from error
    return content


def _plain_words(error: Exception) -> str:
    """What torch says, but for its advice to load the file in a way that runs code."""
    lines = str(error).strip().splitlines()
    if not lines or "weights_only" in lines[0]:
        return "it cannot be read as weights alone: torch would have to run code of the file, or it is damaged"
    return lines[0]


def as_state_dict(content: object, where: str) -> dict[str, Tensor]:
    """Give `content` as a state dict: itself, or what lies in it under one of the usual names.

    Raises:
        CheckpointError: it holds anything but named tensors, or a tensor that reaches for more than is stored.
    """
    if isinstance(content, dict):
        inner = [key for key in WRAPPERS if isinstance(content.get(key), dict)]
        if len(inner) == 1 and not _is_state_dict(content):
            content = content[inner[0]]
    if not isinstance(content, dict) or not _is_state_dict(content):
        what = sorted(map(str, content))[:8] if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            f"{where}: found {what}, allowed is a state dict of tensors (policy.state_dict()), by itself or under one "
            f"of {list(WRAPPERS)}"
        )
    for key, value in content.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(
                f"{where}: {key} has shape {tuple(value.shape)}, which needs more numbers than are stored"
            )
    return content


def _is_state_dict(content: dict[object, object]) -> bool:
    return bool(content) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take out of every key what data parallel training and compilation put there ("module.", "_orig_mod.").

    A key is never made equal to another one: then the state stays as it is.
    """
    plain = {".".join(part for part in key.split(".") if part not in PARALLEL): value for key, value in state.items()}
    return plain if len(plain) == len(state) else dict(state)


def named_weights(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The state with `prefix` before every key, where no key has it: saved from the inner module."""
    if any(key.startswith(prefix) for key in state):
        return dict(state)
    return {prefix + key: value for key, value in state.items()}


def without_prefix(state: Mapping[str, Tensor], prefix: str, where: str) -> dict[str, Tensor]:
    """Take off the prefix that every key has.

    Raises:
        CheckpointError: keys without it, named.
    """
    if wrong := [key for key in state if not key.startswith(prefix)]:
        raise CheckpointError(f"{where}: unknown keys {', '.join(wrong[:10])}: all of this kind begin with {prefix!r}")
    return {key.removeprefix(prefix): value for key, value in state.items()}


def rename(state: Mapping[str, Tensor], rules: Mapping[str, str], where: str) -> dict[str, Tensor]:
    """Rename keys by prefix; the longest rule that fits wins. Rules are prefixes ending in a dot, or whole keys.

    Raises:
        CheckpointError: keys that no rule covers, named.
    """
    ordered = sorted(rules, key=len, reverse=True)
    renamed, unknown = {}, []
    for key, value in state.items():
        rule = next((r for r in ordered if key == r or (r.endswith(".") and key.startswith(r))), None)
        if rule is None:
            unknown.append(key)
        else:
            renamed[rules[rule] + key.removeprefix(rule)] = value
    if unknown:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise CheckpointError(f"{where}: unknown keys {', '.join(unknown[:20])}{more}")
    return renamed


def need(state: Mapping[str, Tensor], key: str, where: str) -> Tensor:
    """Give `state[key]`, or raise CheckpointError naming the key."""
    if key not in state:
        raise CheckpointError(f"{where}: missing key {key}")
    return state[key]


def count(keys: Iterable[str], pattern: str) -> int:
    """Give 1 + the highest number that `pattern`'s group takes among `keys`; 0 if none fits."""
    numbers = [int(match[1]) for key in keys if (match := re.match(pattern, key))]
    return max(numbers, default=-1) + 1


def which_resnet(keys: Iterable[str], where: str) -> BackboneName:
    """Tell the ResNets apart by their blocks; `keys` begin at the backbone itself ("conv1.weight").

    Raises:
        CheckpointError: none of ResNet-18, 34 and 50.
    """
    names = list(keys)
    deep = "layer1.0.conv3.weight" in names
    blocks = tuple(count(names, rf"layer{stage}\.(\d+)\.conv1\.weight") for stage in (1, 2, 3, 4))
    known: dict[tuple[tuple[int, ...], bool], BackboneName] = {
        ((2, 2, 2, 2), False): "resnet18",
        ((3, 4, 6, 3), False): "resnet34",
        ((3, 4, 6, 3), True): "resnet50",
    }
    if (blocks, deep) not in known:
        raise CheckpointError(
            f"{where}: backbone with blocks {blocks} is unknown, allowed are {sorted(known.values())}"
        )
    return known[blocks, deep]


def make_config(kind: type[Config], values: Mapping[str, object], where: str) -> Config:
    """Check inferred sizes, with errors as CheckpointError."""
    return validate(kind, dict(values), where, CheckpointError)


def fill_policy(policy: AnyPolicy, weights: dict[str, Tensor], normalizer: Normalizer, where: str) -> AnyPolicy:
    """Put renamed weights and a normaliser into a policy; every key of its `model` must be there, and no other.

    Raises:
        CheckpointError: a key is missing, unknown, or of another shape.
    """
    model = policy.get_submodule("model")
    weights = {key: value.to(torch.float32).clone() for key, value in weights.items()}
    check_keys(model.state_dict(), weights, where)
    model.load_state_dict(weights)
    policy.set_normalizer(normalizer)
    return policy.eval()
