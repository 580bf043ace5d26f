"""Table, floor and light: what stands still in every simulated world. The table's top is z = 0."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

TABLE_HEIGHT = 0.75
WORLD_BIT = 1
EVERYTHING = 0xFFFF
TABLE = "table"


def _wood(size: int = 256) -> np.ndarray:
    """A wooden top, (size, size, 3) uint8: boards with grain. The same on every call."""
    rng = np.random.default_rng(7)
    along, across = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    boards = 6
    board = np.minimum((across * boards).astype(int), boards - 1)
    shift, tone = rng.uniform(0, 9, boards)[board], rng.uniform(-7, 7, boards)[board]
    wave = 0.05 * np.sin(2 * np.pi * (1.3 * along + shift)) + 0.02 * np.sin(2 * np.pi * (3.1 * along + 2 * shift))
    grain = np.sin(2 * np.pi * (9.0 * (across * boards + wave + shift)))
    fibre = rng.normal(0, 1, (size, 1)) * 2.0 + rng.normal(0, 1.2, (size, size))
    seam = np.where(np.abs(across * boards - np.round(across * boards)) < 0.02, -22.0, 0.0)
    light = tone + 4.0 * grain + fibre + seam
    result: np.ndarray = np.clip(np.array([190.0, 153.0, 112.0]) + light[..., None] * [1.0, 0.93, 0.8], 0, 255).astype(
        np.uint8
    )
    return result


def _texture(spec: Any, name: str, pixels: np.ndarray) -> None:
    height, width, channels = pixels.shape
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, height=height, width=width, nchannel=channels
    )
    texture.data = pixels.tobytes()


def _material(spec: Any, name: str, texture: str, repeat: tuple[float, float]) -> None:
    material = spec.add_material(name=name, texrepeat=list(repeat), specular=0.15, shininess=0.2, reflectance=0.0)
    material.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = texture


def add_scenery(spec: Any, centre: np.ndarray, half: tuple[float, float]) -> None:
    """Add floor, table and lights.

    Args:
        spec: the MjSpec that is being built.
        centre: (2,) m, the middle of the table's top.
        half: (2,) m, half its size.
    """
    world, box = spec.worldbody, mujoco.mjtGeom.mjGEOM_BOX
    _texture(spec, "wood", _wood())
    _material(spec, "wood", "wood", (1, 1))
    spec.add_texture(
        name="tiles",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.50, 0.53, 0.57],
        rgb2=[0.56, 0.59, 0.63],
        width=64,
        height=64,
    )
    _material(spec, "tiles", "tiles", (6, 6))
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.78, 0.83, 0.88],
        rgb2=[0.45, 0.52, 0.60],
        width=32,
        height=192,
    )
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[4, 4, 0.1],
        pos=[centre[0], centre[1], -TABLE_HEIGHT],
        material="tiles",
        contype=WORLD_BIT,
        conaffinity=EVERYTHING,
    )
    table = world.add_body(name=TABLE, pos=[centre[0], centre[1], 0])
    table.add_geom(
        name="table_top",
        type=box,
        size=[half[0], half[1], 0.02],
        pos=[0, 0, -0.02],
        material="wood",
        friction=[1.0, 0.005, 0.0001],
        contype=WORLD_BIT,
        conaffinity=EVERYTHING,
    )
    for x in (-1, 1):
        for y in (-1, 1):
            leg = [x * (half[0] - 0.06), y * (half[1] - 0.06), -TABLE_HEIGHT / 2 - 0.02]
            table.add_geom(
                type=box,
                size=[0.025, 0.025, TABLE_HEIGHT / 2 - 0.02],
                pos=leg,
                rgba=[0.25, 0.26, 0.28, 1],
                contype=0,
                conaffinity=0,
            )
    for right, front, bright in ((-0.9, -0.7, 0.50), (1.2, -0.6, 0.32)):
        world.add_light(
            pos=[centre[0] + right, centre[1] + front, 1.8],
            dir=[-right, -front, -1.8],
            diffuse=[bright] * 3,
            specular=[0.15] * 3,
            cutoff=50,  # narrow, so that the shadow map has fine enough cells
            exponent=1,
            castshadow=right < 0,
        )
    spec.visual.headlight.ambient = [0.38, 0.38, 0.38]
    spec.visual.headlight.diffuse = [0.28, 0.28, 0.28]
    spec.visual.headlight.specular = [0.05, 0.05, 0.05]
