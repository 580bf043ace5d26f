"""The gate before the page: hosts, origins, methods, tokens and cookies, over ASGI, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vgil_ros.web.access.gate import Gate
from vgil_ros.web.access.visitors import COOKIE, Role, Visitors

HOST, PORT = "robot.lan:8420", 8420
NAME = f"{COOKIE}_{PORT}"


class Behind:
    """What is behind the gate: remembers who came."""

    def __init__(self) -> None:
        self.visitors: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.visitors.append(scope.get("state", {}).get("visitor"))
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"inside"})


class Door:
    """A gate, and requests to it."""

    def __init__(self, tokens: dict[str, Role] | None = None) -> None:
        self.behind = Behind()
        self.gate = Gate(self.behind, Visitors(tokens), ("robot.lan", "127.0.0.1", "[::1]"), PORT)

    def ask(
        self, path: str = "/", *, method: str = "GET", kind: str = "http", body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status (101 for a WebSocket that was let in, 4403 for one that was not), headers, body."""
        path, _, query = path.partition("?")
        named = {"host": HOST, **{key.replace("_", "-"): value for key, value in headers.items()}}
        scope = {
            "type": kind,
            "path": path,
            "query_string": query.encode(),
            "method": method,
            "headers": [(key.encode(), value.encode()) for key, value in named.items()],
        }
        if kind == "websocket":
            del scope["method"]
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        first = sent[0]
        if first["type"] == "websocket.close":
            return first["code"], {}, b""
        found = {key.decode(): value.decode() for key, value in first.get("headers", ())}
        if first["type"] == "websocket.accept":
            return 101, found, b""
        return first["status"], found, b"".join(message.get("body", b"") for message in sent[1:])

    def enter(self, token: str) -> str:
        """Come in by a link; returns the cookie."""
        status, headers, _ = self.ask(f"/record?token={token}")
        assert (status, headers["location"]) == (303, "/record")
        return headers["set-cookie"].split(";")[0]


TOKENS = {"do-it": Role.OPERATE, "look-only": Role.LOOK}


def test_on_this_computer_everybody_is_let_in_with_a_session() -> None:
    door = Door()
    status, headers, body = door.ask()
    assert (status, body) == (200, b"inside")
    assert headers["set-cookie"].startswith(f"{NAME}=")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=Strict" in headers["set-cookie"]
    assert door.behind.visitors[0].role is Role.OPERATE
    again = door.ask(cookie=headers["set-cookie"].split(";")[0])
    assert again[0] == 200
    assert "set-cookie" not in again[1]
    assert door.behind.visitors[1] == door.behind.visitors[0]


@pytest.mark.parametrize("token", ["", "?token=", "?token=DO-IT", "?token=do-i", "?token=%ff%fe", "?token=do-it2"])
def test_without_the_token_nothing_is_seen(token: str) -> None:
    door = Door(TOKENS)
    status, headers, body = door.ask(f"/{token}")
    assert status == 401
    assert b"inside" not in body
    assert b"token" in body
    assert "set-cookie" not in headers
    assert door.behind.visitors == []


def test_a_token_makes_a_session_with_its_role_and_leaves_the_address() -> None:
    door = Door(TOKENS)
    for token, role in TOKENS.items():
        cookie = door.enter(token)
        assert token not in cookie
        assert door.ask(cookie=cookie)[0] == 200
        assert door.behind.visitors[-1].role is role


def test_the_form_takes_the_token_too() -> None:
    door = Door(TOKENS)
    wrong = door.ask("/enter", method="POST", body=b"token=nobody", origin=f"http://{HOST}")
    assert wrong[0] == 401
    assert b"not for this one" in wrong[2]
    status, headers, _ = door.ask("/enter", method="POST", body=b"token=do-it", origin=f"http://{HOST}")
    assert (status, headers["location"]) == (303, "/")


def test_a_made_up_session_is_nobody() -> None:
    door = Door(TOKENS)
    assert door.ask(cookie=f"{NAME}=made-up")[0] == 401
    assert door.ask(kind="websocket", cookie=f"{NAME}=made-up", origin=f"http://{HOST}")[0] == 4403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8420", "robot.lan.evil.example", "", "[::2]:8420"])
def test_a_name_that_is_not_ours_is_refused(host: str) -> None:
    """DNS rebinding: the browser believes that it talks to evil.example."""
    door = Door()
    status, _, body = door.ask(host=host)
    assert status == 421
    assert b"allowed: 127.0.0.1, [::1], robot.lan" in body
    assert door.ask(kind="websocket", host=host, origin=f"http://{host}")[0] == 4403
    assert door.behind.visitors == []


@pytest.mark.parametrize("origin", ["http://evil.example", "http://robot.lan:9999", "null", "http://robot.lan"])
def test_a_page_of_another_site_reaches_nothing(origin: str) -> None:
    door = Door(TOKENS)
    cookie = door.enter("do-it")
    before = len(door.behind.visitors)
    assert door.ask(kind="websocket", cookie=cookie, origin=origin)[0] == 4403
    status, _, body = door.ask(method="POST", cookie=cookie, origin=origin)
    assert status == 403
    assert b"allowed: pages of 'robot.lan:8420'" in body
    assert len(door.behind.visitors) == before


def test_our_own_page_reaches_the_websocket() -> None:
    door = Door(TOKENS)
    cookie = door.enter("do-it")
    assert door.ask(kind="websocket", cookie=cookie, origin=f"http://{HOST}")[0] == 101


def test_what_a_browser_calls_cross_site_is_refused_without_an_origin_too() -> None:
    door = Door()
    assert door.ask(method="POST", sec_fetch_site="cross-site")[0] == 403
    assert door.ask(method="POST", sec_fetch_site="same-origin")[0] == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(method: str) -> None:
    assert Door().ask(method=method)[0] == 405


def test_no_answer_can_be_framed_or_guessed_at() -> None:
    for answer in (Door().ask(), Door(TOKENS).ask(), Door().ask(host="evil.example")):
        assert answer[1]["x-frame-options"] == "DENY"
        assert answer[1]["x-content-type-options"] == "nosniff"


def test_sessions_do_not_fill_the_memory() -> None:
    visitors = Visitors()
    first = visitors.enter(None)
    for _ in range(600):
        last = visitors.enter(None)
    assert first is not None
    assert visitors.known(first.session) is None
    assert last is not None
    assert visitors.known(last.session) == last


def test_who_is_heard_of_again_and_again_is_not_forgotten() -> None:
    visitors = Visitors()
    operator = visitors.enter(None)
    assert operator is not None
    for _ in range(2000):
        visitors.enter(None)
        assert visitors.known(operator.session) == operator


def test_asking_how_it_is_makes_no_session() -> None:
    for door in (Door(), Door(TOKENS)):
        status, headers, _ = door.ask("/healthz")
        assert (status, "set-cookie" in headers) == (200, False)
        assert door.behind.visitors == [None]


def test_another_link_in_the_same_browser_gives_its_role() -> None:
    door = Door(TOKENS)
    looks = door.enter("look-only")
    status, headers, _ = door.ask("/record?token=do-it&a=1", cookie=looks)
    assert (status, headers["location"]) == (303, "/record?a=1")
    operates = headers["set-cookie"].split(";")[0]
    assert operates != looks
    door.ask(cookie=operates)
    assert door.behind.visitors[-1].role is Role.OPERATE
    for token in ("do-it", "nobody"):  # the same again, or one that opens nothing: who it is stays
        status, headers, _ = door.ask(f"/?token={token}", cookie=operates)
        assert (status, headers["location"], headers["set-cookie"].split(";")[0]) == (303, "/", operates)
    status, headers, _ = door.ask(
        "/enter", method="POST", body=b"token=look-only", cookie=operates, origin=f"http://{HOST}"
    )
    assert status == 303
    door.ask(cookie=headers["set-cookie"].split(";")[0])
    assert str(door.behind.visitors[-1].role.value) == "look"


def test_a_page_on_another_port_has_a_cookie_of_its_own() -> None:
    door = Door(TOKENS)
    cookie = door.enter("do-it")
    other = f"{COOKIE}_{PORT + 1}=of-another-robot"
    assert door.ask(cookie=f"{other}; {cookie}")[0] == 200
    assert door.ask(cookie=other)[0] == 401
