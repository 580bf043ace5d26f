"""Addresses of policies that run elsewhere, `ws://HOST:PORT`, and the token that they ask for."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from vgil_ros.policies.remote.errors import RemoteError

TOKEN = "VGIL_TOKEN"  # the environment variable that holds it: command lines can be seen by everybody


def is_remote(checkpoint: str | Path) -> bool:
    """Whether a checkpoint is the address of a server."""
    return isinstance(checkpoint, str) and checkpoint.lower().startswith(("ws://", "wss://"))


def checked_address(address: str) -> tuple[str, str, int]:
    """Return (address, host, port).

    Raises:
        RemoteError: it is no such address.
    """
    allowed = f"ws://HOST:PORT or wss://HOST:PORT; a token goes into the variable {TOKEN}"
    if "@" in address:
        raise RemoteError(f"{address.partition('@')[2]}: a name or a password stands before it; allowed: {allowed}")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise RemoteError(f"{address}: {error}; allowed: {allowed}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise RemoteError(f"{address}: is no address of a server; allowed: {allowed}")
    return address, parts.hostname, port or (443 if parts.scheme == "wss" else 80)


def given_token() -> str:
    """The token of this process' environment; empty where there is none."""
    return os.environ.get(TOKEN, "").strip()
