"""The package's own files (config, launch, models), and contracts by name or path.

They are found the same way in a source checkout, a colcon install and a pip install.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vgil_ros.core.config import read_text
from vgil_ros.core.contract import Contract, parse_contract
from vgil_ros.core.errors import ContractError, VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec, streams_of

_SHARE = Path("share", "vgil_ros")


def cache_dir(kind: str) -> Path:
    """Where what can be made again is kept: `$XDG_CACHE_HOME/vgil_ros/KIND`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vgil_ros" / kind


@cache
def share_dir() -> Path:
    """Return the folder that holds `config/` and `launch/`.

    Raises:
        VgilError: where no installation of them is found; it names the places that were tried.
    """
    package = Path(__file__).resolve().parent
    tried = [package.parent]  # a source checkout, an editable or a symlink install
    tried += [Path(prefix) / _SHARE for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    tried += [parent / _SHARE for parent in Path(__file__).absolute().parents]
    tried += [Path(sys.prefix) / _SHARE]
    for folder in tried:
        if (folder / "package.xml").is_file() and (folder / "config" / "robots").is_dir():
            return folder
    raise VgilError(f"the package's config folder was not found; looked in: {', '.join(map(str, tried))}")


def robot_names() -> list[str]:
    """Names of the contracts that come with the package."""
    return sorted(path.stem for path in (share_dir() / "config" / "robots").glob("*.yaml"))


def contract_path(robot: str) -> Path:
    """Return the file of a contract, given by its name in config/robots or by a path.

    Raises:
        ContractError: where neither exists.
    """
    if robot.endswith((".yaml", ".yml")) or os.sep in robot:
        path = Path(robot).expanduser()
        if not path.is_file():
            raise ContractError(f"robot contract '{robot}': no such file")
        return path
    path = share_dir() / "config" / "robots" / f"{robot}.yaml"
    if not path.is_file():
        raise ContractError(f"robot '{robot}' is unknown; allowed: {robot_names()}, or a path to a .yaml file")
    return path


def checkpoint_path(checkpoint: str | Path) -> Path:
    """Return the folder of a checkpoint, given by a path or by the name of one that comes with the package.

    A folder of that path wins. What is not there is returned as it was given: loading it names what is missing.
    """
    given = Path(checkpoint).expanduser()
    if not given.exists() and given.parent == Path() and given.name:
        named = share_dir() / "models" / given.name
        if (named / "policy.json").is_file():
            return named
    return given


def policy_source(checkpoint: str) -> str | Path:
    """Return where a policy is: a server's address as it was given, or a checkpoint's folder (`checkpoint_path`)."""
    return checkpoint if "://" in checkpoint else checkpoint_path(checkpoint)


def load_contract(robot: str) -> tuple[Contract, str]:
    """Return a contract and its YAML text, by name or path.

    Raises:
        ContractError: where it does not exist or is not valid.
    """
    path = contract_path(robot)
    text = read_text(path, ContractError)
    return _with_own_urdf(parse_contract(text, path.name), path.absolute().parent), text


def _with_own_urdf(contract: Contract, folder: Path) -> Contract:
    """The contract with each `urdf` that is a path made absolute: it counts from the contract's folder on."""

    def placed(urdf: str | None) -> str | None:
        return str(folder / Path(urdf).expanduser()) if urdf is not None and os.sep in urdf else urdf

    if not any(arm.urdf and os.sep in arm.urdf for arm in contract.arms):
        return contract
    arms = tuple(arm.model_copy(update={"urdf": placed(arm.urdf)}) for arm in contract.arms)
    return contract.model_copy(update={"arms": arms})


@dataclass(frozen=True)
class Robot:
    """A robot as every part of this package sees it.

    Attributes:
        contract: its topics, joints, limits and cameras.
        layout: the columns of qpos and action, and the limits in their units.
        text: the contract's YAML, which goes into recorded episodes.
    """

    contract: Contract
    layout: Layout = field(repr=False)
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        """As in the contract."""
        return self.contract.name

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """What a recorder synchronises: puppets, masters, cameras and the base."""
        return streams_of(self.contract)


def load_robot(robot: str | os.PathLike[str]) -> Robot:
    """Return a robot, by its name in config/robots or the path of its contract.

    Raises:
        ContractError: where the contract does not exist or is not valid.
    """
    contract, text = load_contract(os.fspath(robot))
    return Robot(contract, Layout(contract), text)
