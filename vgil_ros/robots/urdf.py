"""Reads the part of URDF that our robots use: a tree of links, joints, and boxes, cylinders and spheres."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from vgil_ros.assets import share_dir
from vgil_ros.core.config import read_text
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.transforms import pose_rpy

MOVING = ("revolute", "continuous", "prismatic")
SIZES = {"box": ("size", 3), "cylinder": ("radius length", 2), "sphere": ("radius", 1)}


class UrdfError(VgilError):
    """A URDF that cannot be read, or holds what is not supported."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A primitive fixed to a link.

    Attributes:
        link: the link it belongs to.
        kind: "box" (size x, y, z), "cylinder" (radius, length along z) or "sphere" (radius).
        size: metres.
        origin: (4, 4) pose in the link's frame.
        rgba: colour, 0..1.
    """

    link: str
    kind: str
    size: tuple[float, ...]
    origin: np.ndarray
    rgba: tuple[float, float, float, float]


Visual = Shape


@dataclass(frozen=True, eq=False)
class Inertial:
    """Mass (kg), its centre (3,) m in the link's frame, and the diagonal of the inertia about it (3,) kg m^2."""

    mass: float
    centre: np.ndarray
    diagonal: np.ndarray


@dataclass(frozen=True, eq=False)
class Link:
    """A rigid body."""

    name: str
    visuals: tuple[Shape, ...]
    collisions: tuple[Shape, ...]
    inertial: Inertial | None


@dataclass(frozen=True)
class Mimic:
    """`position = multiplier * position of joint + offset`."""

    joint: str
    multiplier: float
    offset: float


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint from `parent` to `child`; limits in rad or m, Nm or N, and per second."""

    name: str
    kind: str
    parent: str
    child: str
    origin: np.ndarray
    axis: np.ndarray
    lower: float
    upper: float
    effort: float
    velocity: float
    mimic: Mimic | None

    @property
    def moves(self) -> bool:
        """Whether the joint has a position at all."""
        return self.kind in MOVING


@dataclass(frozen=True, eq=False)
class Urdf:
    """A robot. Joints stand so that each comes after the joint that carries its parent."""

    name: str
    root: str
    links: Mapping[str, Link]
    joints: tuple[Joint, ...]

    @cached_property
    def by_name(self) -> dict[str, Joint]:
        """Joints by name."""
        return {joint.name: joint for joint in self.joints}

    @cached_property
    def driven(self) -> tuple[str, ...]:
        """Names of the joints that have a motor: they move and mimic no other."""
        return tuple(joint.name for joint in self.joints if joint.moves and joint.mimic is None)


def urdf_names() -> list[str]:
    """Names of the URDF files that come with the package."""
    return sorted(path.name for path in (share_dir() / "config" / "urdf").glob("*.urdf"))


@cache
def load_urdf(name: str) -> Urdf:
    """Return a robot by its file name in config/urdf, or by a path.

    Raises:
        UrdfError: where it does not exist or cannot be used.
    """
    path = Path(name) if os.sep in name else share_dir() / "config" / "urdf" / name
    if path.is_file():
        return parse_urdf(read_text(path, UrdfError), name)
    if os.sep in name:
        raise UrdfError(
            f"urdf '{name}': no such file; allowed: a path, from the contract's folder on, or {urdf_names()}"
        )
    raise UrdfError(f"urdf '{name}' is unknown; allowed: {urdf_names()}, or a path, as ./{name} beside the contract")


def parse_urdf(text: str, source: str) -> Urdf:
    """Return the robot that a URDF text describes.

    Raises:
        UrdfError: for text that is no XML, or an element that is missing or not supported.
    """
    try:
        robot = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UrdfError(f"{source}: not readable as XML: {error}") from error
    try:
        colors = {m.get("name", ""): _color(m) for m in robot.findall("material")}
        links = {link.name: link for link in (_link(e, colors) for e in robot.findall("link"))}
        joints = [_joint(e) for e in robot.findall("joint")]
    except (KeyError, ValueError, TypeError) as error:
        raise UrdfError(f"{source}: {error}") from error
    root, ordered = _sorted(source, links, joints)
    return Urdf(robot.get("name", source), root, links, ordered)


def _sorted(source: str, links: Mapping[str, Link], joints: list[Joint]) -> tuple[str, tuple[Joint, ...]]:
    for joint in joints:
        for link in (joint.parent, joint.child):
            if link not in links:
                raise UrdfError(f"{source}: joint '{joint.name}' names link '{link}'; allowed: {list(links)}")
    roots = set(links) - {joint.child for joint in joints}
    if len(roots) != 1:
        raise UrdfError(f"{source}: found {len(roots)} root links {sorted(roots)}; allowed: one")
    root = roots.pop()
    reached, ordered, left = {root}, [], list(joints)
    while left:
        ready = [joint for joint in left if joint.parent in reached and joint.child not in reached]
        if not ready:
            raise UrdfError(f"{source}: joints {[j.name for j in left]} do not form a tree from '{root}'")
        ordered.append(ready[0])
        reached.add(ready[0].child)
        left.remove(ready[0])
    return root, tuple(ordered)


def _link(element: Element, colors: Mapping[str, tuple[float, float, float, float]]) -> Link:
    name = element.attrib["name"]
    visuals = tuple(_shape(name, e, colors) for e in element.findall("visual"))
    collisions = tuple(_shape(name, e, colors) for e in element.findall("collision"))
    inertial = element.find("inertial")
    return Link(name, visuals, collisions, None if inertial is None else _inertial(name, inertial))


def _inertial(link: str, element: Element) -> Inertial:
    mass, inertia = element.find("mass"), element.find("inertia")
    if mass is None or inertia is None:
        raise ValueError(f"link '{link}': inertial without mass or inertia")
    diagonal = np.array([float(inertia.attrib[key]) for key in ("ixx", "iyy", "izz")])
    if any(float(inertia.get(key, 0.0)) for key in ("ixy", "ixz", "iyz")):
        raise ValueError(f"link '{link}': inertia has products; allowed: a diagonal one")
    return Inertial(float(mass.attrib["value"]), _origin(element)[:3, 3], diagonal)


def _shape(link: str, element: Element, colors: Mapping[str, tuple[float, float, float, float]]) -> Shape:
    geometry = element.find("geometry")
    kinds = [] if geometry is None else [child.tag for child in geometry]
    if geometry is None or len(kinds) != 1 or kinds[0] not in SIZES:
        raise ValueError(f"link '{link}': geometry is {kinds}; allowed: one of {list(SIZES)}")
    keys, count = SIZES[kinds[0]]
    size = tuple(float(x) for key in keys.split() for x in geometry[0].attrib[key].split())
    if len(size) != count or min(size) <= 0:
        raise ValueError(f"link '{link}': size of {kinds[0]} is {size}; allowed: {count} values above 0")
    material = element.find("material")
    rgba = (0.5, 0.5, 0.5, 1.0)
    if material is not None:
        rgba = _color(material) if material.find("color") is not None else colors[material.attrib["name"]]
    return Shape(link, kinds[0], size, _origin(element), rgba)


def _joint(element: Element) -> Joint:
    name, kind = element.attrib["name"], element.attrib["type"]
    parent, child = element.find("parent"), element.find("child")
    if kind not in (*MOVING, "fixed") or parent is None or child is None:
        raise ValueError(f"joint '{name}': type is '{kind}'; allowed: {[*MOVING, 'fixed']}, with a parent and a child")
    limit, mimic, axis = element.find("limit"), element.find("mimic"), element.find("axis")
    limits = {} if limit is None else {key: float(value) for key, value in limit.attrib.items()}
    if kind in ("revolute", "prismatic") and not {"lower", "upper"} <= set(limits):
        raise ValueError(f"joint '{name}': limit has {sorted(limits)}; allowed: lower and upper")
    direction = np.array([float(x) for x in axis.attrib["xyz"].split()]) if axis is not None else np.array([1.0, 0, 0])
    return Joint(
        name=name,
        kind=kind,
        parent=parent.attrib["link"],
        child=child.attrib["link"],
        origin=_origin(element),
        axis=direction / np.linalg.norm(direction),
        lower=limits.get("lower", -np.inf),
        upper=limits.get("upper", np.inf),
        effort=limits.get("effort", np.inf),
        velocity=limits.get("velocity", np.inf),
        mimic=None if mimic is None else _mimic(mimic),
    )


def _mimic(element: Element) -> Mimic:
    multiplier, offset = float(element.get("multiplier", 1.0)), float(element.get("offset", 0.0))
    return Mimic(element.attrib["joint"], multiplier, offset)


def _origin(element: Element) -> np.ndarray:
    origin = element.find("origin")
    values = {} if origin is None else origin.attrib
    xyz, rpy = ([float(x) for x in values.get(key, "0 0 0").split()] for key in ("xyz", "rpy"))
    if len(xyz) != 3 or len(rpy) != 3:
        raise ValueError(f"origin has xyz {xyz}, rpy {rpy}; allowed: three values each")
    return pose_rpy(xyz, rpy)


def _color(element: Element) -> tuple[float, float, float, float]:
    color = element.find("color")
    values = [] if color is None else [float(x) for x in color.attrib["rgba"].split()]
    if len(values) != 4:
        raise ValueError(f"material '{element.get('name')}' has colour {values}; allowed: four values")
    return (values[0], values[1], values[2], values[3])
