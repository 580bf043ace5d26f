"""The hub of camera pictures: the newest for each viewer, slow ones hold nobody up, unseen ones are not asked for."""

from __future__ import annotations

import asyncio

import pytest

from vgil_ros.web.cameras.hub import FrameHub, UnknownCamera


def make() -> tuple[FrameHub, list[tuple[str, bool]]]:
    watched: list[tuple[str, bool]] = []
    return FrameHub(["top", "wrist"], lambda name, on: watched.append((name, on))), watched


def test_a_camera_is_watched_from_its_first_viewer_to_its_last() -> None:
    hub, watched = make()

    async def go() -> None:
        hub.bind(asyncio.get_running_loop())
        first, second = hub.pictures("top"), hub.pictures("top")
        hub.put("top", b"1", 1, 0.0)
        await anext(first)
        await anext(second)
        assert watched == [("top", True)]
        assert hub.viewers("top") == 2
        await first.aclose()
        assert hub.viewers("top") == 1
        await second.aclose()
        assert watched == [("top", True), ("top", False)]

    asyncio.run(go())


def test_a_slow_viewer_gets_the_newest_and_each_picture_once() -> None:
    hub, _ = make()

    async def go() -> None:
        hub.bind(asyncio.get_running_loop())
        pictures = hub.pictures("top")
        hub.put("top", b"1", 1, 0.0)
        assert (await anext(pictures)).jpeg == b"1"
        for number in range(2, 100):
            hub.put("top", b"%d" % number, number, 0.0)
        assert (await anext(pictures)).jpeg == b"99"
        waiting = asyncio.ensure_future(anext(pictures))
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.to_thread(hub.put, "top", b"100", 100, 0.0)
        assert (await waiting).number == 100

    asyncio.run(go())


def test_closing_sends_everybody_home() -> None:
    hub, _ = make()

    async def go() -> None:
        hub.bind(asyncio.get_running_loop())
        waiting = asyncio.ensure_future(anext(hub.pictures("wrist"), None))
        await asyncio.sleep(0)
        hub.close()
        assert await waiting is None

    asyncio.run(go())


def test_an_unknown_camera_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownCamera, match="camera 'front' is unknown; allowed: top, wrist"):
        make()[0].newest("front")


def test_who_asks_for_single_pictures_keeps_the_camera_watched_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgil_ros.web.cameras.hub.GLANCE_S", 0.05)
    hub, watched = make()

    async def go() -> None:
        hub.bind(asyncio.get_running_loop())
        assert hub.glance("top") is None
        hub.put("top", b"1", 1, 0.0)
        picture = hub.glance("top")
        assert picture is not None
        assert (picture.jpeg, watched) == (b"1", [("top", True)])
        while len(watched) < 2:
            await asyncio.sleep(0.01)
        assert watched == [("top", True), ("top", False)]

    asyncio.run(go())


def test_streams_are_counted_by_browser() -> None:
    hub, _ = make()

    async def go() -> None:
        hub.bind(asyncio.get_running_loop())
        hub.put("top", b"1", 1, 0.0)
        stream = hub.pictures("top", "anna")
        await anext(stream)
        assert (hub.streams("anna"), hub.streams("ben")) == (1, 0)
        await stream.aclose()
        assert hub.streams("anna") == 0

    asyncio.run(go())
