"""Visitors of the page: a token in the link makes a session, a cookie keeps it, and its role says what it may do."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from enum import Enum

COOKIE = "vgil_session"
TOKEN_BYTES = 16
MOST_SESSIONS = 512  # beyond it the one least heard of is forgotten: who asks for pages all day fills no memory


class Role(str, Enum):
    """What a visitor may do. An e-stop is everybody's."""

    LOOK = "look"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser that was let in.

    Attributes:
        session: secret, in its cookie.
        role: what it may do.
        name: for people: what others see of it.
    """

    session: str
    role: Role
    name: str


class Visitors:
    """The sessions of a running page.

    Args:
        tokens: what opens which role; empty: everybody who reaches the page operates (127.0.0.1).
    """

    def __init__(self, tokens: dict[str, Role] | None = None) -> None:
        self._tokens = tokens or {}
        self._sessions: dict[str, Visitor] = {}
        self._count = 0

    @property
    def open(self) -> bool:
        """Whether no token is asked for."""
        return not self._tokens

    def enter(self, token: str | None) -> Visitor | None:
        """A new session for a token; None where it opens nothing."""
        role = self.role_of(token)
        if role is None and not self.open:
            return None
        self._count += 1
        visitor = Visitor(secrets.token_urlsafe(24), role or Role.OPERATE, f"operator {self._count}")
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[visitor.session] = visitor
        return visitor

    def role_of(self, token: str | None) -> Role | None:
        """What a token opens; None: nothing. All are compared, in the same time."""
        roles = [role for known, role in self._tokens.items() if hmac.compare_digest(known.encode(), _bytes(token))]
        return roles[0] if roles else None

    def known(self, session: str | None) -> Visitor | None:
        """The visitor of a cookie, None where it is nobody's."""
        visitor = self._sessions.pop(session or "", None)
        if visitor is not None:
            self._sessions[visitor.session] = visitor  # the last to be forgotten
        return visitor


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def _bytes(token: str | None) -> bytes:
    return (token or "").encode("utf-8", "surrogatepass")
