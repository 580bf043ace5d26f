"""The contract that is stored in an episode, for the checks that hold the data against it."""

from __future__ import annotations

from functools import lru_cache

from vgil_ros.core.contract import Contract, parse_contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.layout import Layout
from vgil_ros.episodes.view import Episode


def contract_of(episode: Episode) -> Contract | None:
    """Return an episode's contract, or None where it stores none that can be read."""
    return _parsed(str(episode.attrs.get("contract", "")))


def layout_of(episode: Episode) -> Layout | None:
    """Return the columns of qpos and action by the episode's contract, or None where they are not the file's."""
    contract = contract_of(episode)
    layout = None if contract is None else Layout(contract)
    if layout is None or episode.joint_names != layout.joint_names:
        return None
    fits = episode.qpos.shape[1] == episode.action.shape[1] == layout.dim
    return layout if fits else None


@lru_cache(maxsize=8)
def _parsed(text: str) -> Contract | None:
    try:
        return parse_contract(text, "contract")
    except ContractError:
        return None
