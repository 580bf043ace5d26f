"""Names of the 1-D U-Net's weights in the projects that share its form, and here."""

from __future__ import annotations


def unet_rules(prefix: str, levels: int, convs: str, resample: str) -> dict[str, str]:
    """Rules for `state.rename`, from `prefix` to "unet.".

    Args:
        prefix: of the foreign keys. levels: len(down_dims).
        convs: name of a block's convolution number 1 or 2, with {} for the number. resample: what stands between the
            place of a level's resampling and its weight.
    """
    rules = {
        "diffusion_step_encoder.1.": "embed.linear1.",
        "diffusion_step_encoder.3.": "embed.linear2.",
        "final_conv.0.block.0.": "last_conv.",
        "final_conv.0.block.1.": "last_norm.",
        "final_conv.1.": "head.",
    }
    blocks = {f"mid_modules.{i}.": f"mid.{i}." for i in (0, 1)}
    for part, count in (("down", levels), ("up", levels - 1)):
        for i in range(count):
            blocks |= {f"{part}_modules.{i}.{j}.": f"{part}.{i}.block{j + 1}." for j in (0, 1)}
            rules[f"{part}_modules.{i}.2.{resample}"] = f"{part}.{i}.resample."
    for theirs, ours in blocks.items():
        rules |= {f"{theirs}cond_encoder.1.": f"{ours}film.", f"{theirs}residual_conv.": f"{ours}skip."}
        for number in (1, 2):
            block = f"{theirs}{convs.format(number)}block."
            rules |= {f"{block}0.": f"{ours}conv{number}.", f"{block}1.": f"{ours}norm{number}."}
    return {prefix + theirs: "unet." + ours for theirs, ours in rules.items()}
