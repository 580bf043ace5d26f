"""The 1-D U-Net in the projects that share its form: the names of its weights, and what their shapes tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.importers.state import count, need


@dataclass(frozen=True)
class Names:
    """What the names of one project are.

    Attributes:
        convs: of a block's two convolutions. resample: what stands between the place of a level's resampling and its
            weight.
    """

    convs: tuple[str, str]
    resample: str


LEROBOT = Names(("conv1.", "conv2."), "")
ORIGINAL = Names(("blocks.0.", "blocks.1."), "conv.")  # Diffusion Policy and robomimic


def unet_rules(prefix: str, levels: int, names: Names) -> dict[str, str]:
    """Rules for `state.rename`, from `prefix` to "unet.", for len(down_dims) = `levels`."""
    rules = {
        "diffusion_step_encoder.1.": "embed.linear1.",
        "diffusion_step_encoder.3.": "embed.linear2.",
        "final_conv.0.block.0.": "last_conv.",
        "final_conv.0.block.1.": "last_norm.",
        "final_conv.1.": "head.",
    }
    blocks = {f"mid_modules.{i}.": f"mid.{i}." for i in (0, 1)}
    for part, many in (("down", levels), ("up", levels - 1)):
        for i in range(many):
            blocks |= {f"{part}_modules.{i}.{j}.": f"{part}.{i}.block{j + 1}." for j in (0, 1)}
            rules[f"{part}_modules.{i}.2.{names.resample}"] = f"{part}.{i}.resample."
    for theirs, ours in blocks.items():
        rules |= {f"{theirs}cond_encoder.1.": f"{ours}film.", f"{theirs}residual_conv.": f"{ours}skip."}
        for number, conv in enumerate(names.convs, start=1):
            rules |= {
                f"{theirs}{conv}block.0.": f"{ours}conv{number}.",
                f"{theirs}{conv}block.1.": f"{ours}norm{number}.",
            }
    return {prefix + theirs: "unet." + ours for theirs, ours in rules.items()}


@dataclass(frozen=True)
class UnetSizes:
    """What the shapes tell: `condition_dim` is the width of all observations together."""

    action_dim: int
    down_dims: tuple[int, ...]
    kernel_size: int
    step_embed_dim: int
    film_scale: bool
    condition_dim: int

    def settings(self) -> dict[str, object]:
        """As values of a DiffusionConfig."""
        return {
            "action_dim": self.action_dim,
            "down_dims": self.down_dims,
            "kernel_size": self.kernel_size,
            "step_embed_dim": self.step_embed_dim,
            "film_scale": self.film_scale,
        }


def infer_unet(state: Mapping[str, Tensor], prefix: str, names: Names, where: str) -> UnetSizes:
    """Read the sizes of a U-Net off its weights.

    Raises:
        CheckpointError: a weight that tells them is missing, or the condition is local instead of global.
    """
    if any(key.startswith(f"{prefix}local_cond_encoder.") for key in state):
        raise CheckpointError(f"{where}: has a local_cond_encoder: only a global condition is supported")
    first = f"{prefix}down_modules.0.0."
    levels = count(state, rf"{prefix}down_modules\.(\d+)\.")
    conv = need(state, f"{first}{names.convs[0]}block.0.weight", where)
    film = need(state, f"{first}cond_encoder.1.weight", where)
    embed = need(state, f"{prefix}diffusion_step_encoder.1.weight", where).shape[1]
    dims = [
        need(state, f"{prefix}down_modules.{i}.0.{names.convs[0]}block.0.weight", where).shape[0] for i in range(levels)
    ]
    return UnetSizes(
        action_dim=int(conv.shape[1]),
        down_dims=tuple(int(width) for width in dims),
        kernel_size=int(conv.shape[2]),
        step_embed_dim=int(embed),
        film_scale=bool(film.shape[0] == 2 * conv.shape[0]),
        condition_dim=int(film.shape[1] - embed),
    )


def state_first(weights: dict[str, Tensor], embed: int, steps: int, before: Sequence[int], state_dim: int) -> None:
    """Bring the columns of what each block is told into our order: in each step the state, then what stood before it.

    Args:
        weights: under our names; changed in place. embed: width of the step's embedding, which comes first.
        steps: observations; before: widths that stand before the state in each of them.
    """
    width = sum(before) + state_dim
    order = list(range(embed))
    for step in range(steps):
        start = embed + step * width
        order += [*range(start + width - state_dim, start + width), *range(start, start + width - state_dim)]
    for key in [key for key in weights if key.endswith("film.weight")]:
        if weights[key].shape[1] == len(order):  # another width is named when the weights are checked
            weights[key] = weights[key][:, order]
