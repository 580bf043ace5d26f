"""The gate before the page, as ASGI: names of hosts, origins, methods and sessions are judged before anything else.

A page of another site, opened in the operator's browser, must not reach the robot: its requests carry an Origin that
is not ours (cross-site request forgery, cross-site WebSocket hijacking), or a Host that was made to point here (DNS
rebinding). Each is refused with its reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from vgil_ros.web.access.visitors import COOKIE, Visitor, Visitors

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

READING = ("GET", "HEAD")
ALLOWED = (*READING, "POST")
FREE = ("/healthz",)
HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
ENTER = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>vgil_ros</title><style>body{font:18px sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}</style>
<h1>vgil_ros</h1><p>This page asks for a token. It stands in the link that was printed where the page was started:
open that link, or give the token here.</p><form method="post" action="/enter"><label>Token
<input name="token" type="password" autofocus autocomplete="off"></label> <button>Enter</button></form></html>"""


class Gate:
    """Lets in who may come in.

    Args:
        app: the page.
        visitors: the sessions.
        hosts: names and addresses that this page is called by, without port; the Host header must be one.
        port: where it listens. Browsers send a host's cookies to each of its ports: two robots' pages need two names.
    """

    def __init__(self, app: App, visitors: Visitors, hosts: Iterable[str], port: int) -> None:
        self._app, self._visitors = app, visitors
        self._cookie = f"{COOKIE}_{port}"
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] not in ("http", "websocket"):  # start and end of the server
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if (refusal := self._refusal(scope, headers)) is not None:
            await _refuse(scope, send, *refusal)
            return
        if scope["type"] == "http" and scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        visitor = self._visitors.known(_cookie(headers, self._cookie))
        if visitor is None or self._gives_token(scope):
            visitor = await self._welcome(scope, receive, send, visitor)
            if visitor is None:
                return
            scope["state"] = {**scope.get("state", {}), "visitor": visitor}
            await self._app(scope, receive, _with_headers(send, self._cookie_header(visitor)))
            return
        scope["state"] = {**scope.get("state", {}), "visitor": visitor}
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and words, None where nothing stands against the request."""
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return 421, f"this page is not called '{host}'; allowed: {', '.join(sorted(self._hosts))}"
        method = scope.get("method", "GET")
        if scope["type"] == "http" and method not in ALLOWED:
            return 405, f"{method} is not allowed; allowed: {', '.join(ALLOWED)}"
        origin = headers.get("origin")
        acts = scope["type"] == "websocket" or method not in READING
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"a page of '{origin}' asks; allowed: pages of '{host}'"
        if acts and origin is None and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "a page of another site asks; allowed: our own"
        return None

    def _gives_token(self, scope: Scope) -> bool:
        """Whether a link is opened, or a token is given: it may be for another role than the one that is known."""
        if self._visitors.open or scope["type"] != "http":
            return False
        return "token" in _query(scope) or (scope["method"] == "POST" and scope["path"] == "/enter")

    async def _welcome(self, scope: Scope, receive: Receive, send: Send, known: Visitor | None) -> Visitor | None:
        """Let in where no token is asked for, or by one. None: an answer was sent.

        Args:
            known: who it is, where somebody we know gives a token; one that opens nothing changes nothing.
        """
        path, query = scope["path"], _query(scope)
        if self._visitors.open:
            return self._visitors.enter(None)
        if scope["type"] == "websocket":
            await _refuse(scope, send, 403, "no session")
            return None
        if scope["method"] == "POST" and path == "/enter":
            token, home = await _token_of(receive), "/"
        else:
            token = query.pop("token", None)
            home = path + (f"?{urlencode(query)}" if query else "")
        role = self._visitors.role_of(token)
        visitor = known if known is not None and role in (None, known.role) else self._visitors.enter(token)
        if visitor is None:
            page = ENTER if token is None else ENTER.replace("for a token.", "for a token, not for this one.")
            await _answer(send, 401, page.encode(), ((b"content-type", b"text/html; charset=utf-8"),))
            return None
        # to the same page without the token: it is to stand in no address bar
        await _answer(send, 303, b"", ((b"location", home.encode()), self._cookie_header(visitor)))
        return None

    def _cookie_header(self, visitor: Visitor) -> tuple[bytes, bytes]:
        return b"set-cookie", f"{self._cookie}={visitor.session}; Path=/; HttpOnly; SameSite=Strict".encode()


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))


def _name(host: str) -> str:
    """`name` of `name:port`, `[::1]` of `[::1]:port`."""
    return (host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]).lower()


def _cookie(headers: dict[str, str], name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if found is None else found.value


async def _token_of(receive: Receive, most: int = 4096) -> str | None:
    body = b""
    while len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return dict(parse_qsl(body[:most].decode("latin-1"))).get("token")


def _with_headers(send: Send, *more: tuple[bytes, bytes]) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            message["headers"] = [*message.get("headers", ()), *HEADERS, *more]
        await send(message)

    return sending


async def _answer(send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *HEADERS]})
    await send({"type": "http.response.body", "body": body})


async def _refuse(scope: Scope, send: Send, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": words[:120]})
        return
    await _answer(send, status, f"{words}\n".encode(), ((b"content-type", b"text/plain; charset=utf-8"),))
