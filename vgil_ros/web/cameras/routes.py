"""Routes of camera pictures: `/camera/NAME.mjpg`, one that goes on, and `/camera/NAME.jpg`, the newest."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from vgil_ros.web.cameras.hub import FrameHub, Picture, UnknownCamera

BOUNDARY = "picture"
MIXED = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
STAMP = "X-Stamp-Ns"


def add_routes(app: FastAPI, hub: FrameHub) -> None:
    """Serve a hub's pictures."""

    @app.get("/camera/{name}.mjpg")
    async def stream(name: str, request: Request) -> Response:
        try:
            hub.newest(name)
        except UnknownCamera as error:
            return PlainTextResponse(str(error), 404)
        session = request.scope["state"]["visitor"].session
        return StreamingResponse(_parts(hub, name, session), media_type=MIXED)

    @app.get("/camera/{name}.jpg")
    async def still(name: str) -> Response:
        try:
            picture = hub.glance(name)
        except UnknownCamera as error:
            return PlainTextResponse(str(error), 404)
        if picture is None:
            return PlainTextResponse(f"no picture of {name} yet: ask again", 404)
        headers = {STAMP: str(picture.stamp_ns), "Cache-Control": "no-store"}
        return Response(picture.jpeg, media_type="image/jpeg", headers=headers)


async def _parts(hub: FrameHub, name: str, session: str) -> AsyncIterator[bytes]:
    """Parts of a multipart stream. Each is closed at once: a browser shows a part when it sees where it ends."""
    yield f"--{BOUNDARY}\r\n".encode()
    async for picture in hub.pictures(name, session):
        yield part(picture)


def part(picture: Picture) -> bytes:
    """A picture with its headers, and the boundary behind it."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n{STAMP}: {picture.stamp_ns}\r\n\r\n"
    return b"".join((head.encode(), picture.jpeg, f"\r\n--{BOUNDARY}\r\n".encode()))
