"""The errors a user meets. Each message names what offends, what was found and what is allowed."""

from __future__ import annotations


class VgilError(Exception):
    """Anything that a user can mend: wrong input, a wrong file, a robot that does not match."""


class ContractError(VgilError):
    """A robot contract, or data that does not fit one."""
