"""Routes of episodes' pictures: `/episode/PLACE/frame/CAMERA/ROW.jpg`, `.../together/ROW.jpg` and `.../thumb.jpg`.

PLACE is the file, relative to the dataset folder. With `?v=` of the file as it is, a browser keeps what it got.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response

from vgil_ros.core.errors import VgilError
from vgil_ros.web.episodes.folders import DataFolders, Refused
from vgil_ros.web.episodes.pictures import Picture, Pictures

KEPT, FRESH = "private, max-age=86400, immutable", "private, no-cache"


def add_episode_routes(app: FastAPI, folders: DataFolders, pictures: Pictures) -> None:
    """Serve the pictures of a dataset folder; in threads, since they are read from files."""

    @app.get("/episode/{place:path}/frame/{camera}/{row}.jpg")
    def frame(place: str, camera: str, row: str, v: str = "", depth: bool = False) -> Response:
        if not _is_row(row):
            return _no_row(row)
        return _answer(folders, place, v, lambda path: pictures.frame(path, camera, int(row), depth=depth))

    @app.get("/episode/{place:path}/together/{row}.jpg")
    def together(place: str, row: str, v: str = "") -> Response:
        if not _is_row(row):
            return _no_row(row)
        return _answer(folders, place, v, lambda path: pictures.together(path, int(row)))

    @app.get("/episode/{place:path}/thumb.jpg")
    def thumbnail(place: str, v: str = "") -> Response:
        return _answer(folders, place, v, pictures.thumbnail)


def _is_row(text: str) -> bool:
    return text.isdecimal() and len(text) <= 9


def _no_row(text: str) -> Response:
    return PlainTextResponse(f"found row '{text[:40]}'; allowed: a number from 0", 404)


def _answer(folders: DataFolders, place: str, version: str, read: Callable[[Path], Picture]) -> Response:
    try:
        picture = read(folders.file(place))
    except Refused as error:
        return PlainTextResponse(str(error), 403)
    except VgilError as error:
        return PlainTextResponse(str(error), 404)
    return Response(picture.data, media_type=picture.media, headers={"Cache-Control": KEPT if version else FRESH})
