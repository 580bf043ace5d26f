"""Pictures of episodes by address: what is served, in which colours, and what is refused."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from support.episodes.made_episodes import image, meta, write

pytest.importorskip("fastapi", reason="nicegui is not installed: pip install 'vgil_ros[web]'")
from fastapi import FastAPI

from vgil_ros.episodes import CameraMeta
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.web.episodes.folders import DataFolders, Refused, Unknown
from vgil_ros.web.episodes.pictures import TILE, Pictures
from vgil_ros.web.episodes.routes import add_episode_routes

SIZE = (96, 128)
CAMERAS = tuple(CameraMeta(name, *SIZE, "jpeg") for name in ("cam_b", "cam_a"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write(folder / "set", meta(cameras=CAMERAS), 4)
    raw = tuple(CameraMeta(name, *SIZE, "raw") for name in ("cam_b", "cam_a"))
    write(folder / "raw", meta(cameras=raw), 3)
    own = tuple(CameraMeta(name, *SIZE, "passthrough") for name in ("cam_b", "cam_a"))
    write(folder / "own", meta(cameras=own), 3, encoding="jpeg")
    secret = folder.parent / "secret"
    secret.mkdir()
    shutil.copyfile(folder / "set/episode_0.hdf5", secret / "episode_0.hdf5")
    (folder / "set/episode_7.hdf5").symlink_to(secret / "episode_0.hdf5")
    (folder / "linked").symlink_to(secret)
    shutil.copyfile(folder / "set/episode_0.hdf5", folder / "set/episode_9.hdf5.part")
    (folder / "set/.trash").mkdir()
    shutil.copyfile(folder / "set/episode_0.hdf5", folder / "set/.trash/episode_0.hdf5")
    return folder


@pytest.fixture(scope="module")
def app(root: Path) -> FastAPI:
    made = FastAPI()
    add_episode_routes(made, DataFolders(root), Pictures())
    return made


def get(app: FastAPI, address: str) -> tuple[int, dict[str, str], bytes]:
    """Ask as a server does: with the path decoded, and nothing tidied up."""
    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


def seen(jpeg: bytes) -> np.ndarray:
    """(H, W, 3) RGB, as a browser sees it."""
    return cv2.cvtColor(np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("folder", ["set", "raw", "own"])
def test_a_browser_sees_the_colours_that_the_camera_saw_however_they_are_stored(app: FastAPI, folder: str) -> None:
    status, headers, body = get(app, f"/episode/{folder}/episode_0.hdf5/frame/cam_a/2.jpg?v=1")
    assert status == 200
    assert headers["content-type"] == "image/jpeg"
    assert "immutable" in headers["cache-control"]
    wanted = image(2, SIZE, 1).astype(int)
    assert np.abs(seen(body).astype(int) - wanted).mean() < 6
    assert np.abs(seen(body)[..., ::-1].astype(int) - wanted).mean() > 40  # swapped, they would be far off


def test_a_cameras_own_jpeg_is_served_as_it_is_stored(app: FastAPI, root: Path) -> None:
    _, _, body = get(app, "/episode/own/episode_0.hdf5/frame/cam_b/1.jpg")
    with EpisodeReader(root / "own/episode_0.hdf5") as episode:
        assert body == episode.jpeg("cam_b", 1)


@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_all_cameras_of_a_row_are_one_small_picture(tmp_path: Path, storage: Literal["jpeg", "raw"]) -> None:
    sizes = {"cam_b": (480, 640), "cam_a": (960, 1280), "cam_c": (96, 128)}
    cameras = [CameraMeta(name, *size, storage) for name, size in sizes.items()]
    path = write(tmp_path, meta(cameras=cameras, depths=(CameraMeta("cam_d", 48, 64, None),)), 2)
    pictures = Pictures()
    sheet = seen(pictures.together(path, 1).data)
    for i, name in enumerate((*sizes, "cam_d")):
        whole = seen(pictures.frame(path, name, 1, depth=name == "cam_d").data)
        wanted = cv2.resize(whole, TILE[::-1], interpolation=cv2.INTER_AREA).astype(int)
        top, left = i // 2 * TILE[0], i % 2 * TILE[1]
        found = sheet[top : top + TILE[0], left : left + TILE[1]]
        assert np.abs(found - wanted).mean() < 10, f"{name} at its place, in its colours"
    with pytest.raises(EpisodeError, match="found row 2; allowed: 0 to 1"):
        pictures.together(path, 2)
    pictures.close()


def test_all_cameras_of_a_row_come_by_their_address(app: FastAPI) -> None:
    status, headers, body = get(app, "/episode/set/episode_0.hdf5/together/3.jpg?v=1")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert seen(body).shape == (TILE[0], 2 * TILE[1], 3)
    assert get(app, "/episode/set/episode_0.hdf5/together/-1.jpg")[0] == 404
    assert get(app, "/episode/set/..%2f..%2fsecret/episode_0.hdf5/together/1.jpg")[0] == 403


def test_a_thumbnail_is_small_and_in_the_right_colours(app: FastAPI) -> None:
    status, _, body = get(app, "/episode/set/episode_0.hdf5/thumb.jpg")
    assert status == 200
    assert seen(body).shape == (120, 160, 3)
    red, _, blue = seen(body).reshape(-1, 3).mean(axis=0)
    assert red > 2 * blue


@pytest.mark.parametrize(
    "place",
    [
        "../secret/episode_0.hdf5",
        "%2e%2e/secret/episode_0.hdf5",
        "set/../../secret/episode_0.hdf5",
        "set/%2e%2e%2f%2e%2e%2fsecret/episode_0.hdf5",
        "set/..%5c..%5csecret/episode_0.hdf5",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "set/episode_7.hdf5",
        "linked/episode_0.hdf5",
        "set/.trash/episode_0.hdf5",
        "set/episode_9.hdf5.part",
        "set/episode_0.hdf5%00.hdf5",
        "",
    ],
)
@pytest.mark.parametrize("what", ["frame/cam_a/0.jpg", "thumb.jpg"])
def test_what_leads_out_of_the_folder_or_is_no_episode_is_refused(app: FastAPI, place: str, what: str) -> None:
    status, _, body = get(app, f"/episode/{place}/{what}")
    assert status in (403, 404)
    assert b"allowed" in body or status == 404


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("set/episode_5.hdf5/thumb.jpg", b"no episode"),
        ("nowhere/episode_0.hdf5/thumb.jpg", b"no episode"),
        ("set/episode_0.hdf5/frame/cam_c/0.jpg", b"no camera 'cam_c'; found"),
        ("set/episode_0.hdf5/frame/cam_a/4.jpg", b"no row 4; allowed: 0 to 3"),
        ("set/episode_0.hdf5/frame/cam_a/-1.jpg", b"allowed: a number from 0"),
        ("set/episode_0.hdf5/frame/cam_a/x.jpg", b"allowed: a number from 0"),
    ],
)
def test_what_is_not_there_is_answered_in_words(app: FastAPI, address: str, words: bytes) -> None:
    status, _, body = get(app, f"/episode/{address}")
    assert status == 404
    assert words in body


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "a", meta(cameras=CAMERAS), 3)
    write(tmp_path / "b", meta(cameras=CAMERAS), 5)
    pictures, path = Pictures(), tmp_path / "a/episode_0.hdf5"
    first = pictures.frame(path, "cam_b", 0)
    (tmp_path / "b/episode_0.hdf5").replace(path)
    pictures.frame(path, "cam_b", 4)
    assert pictures.frame(path, "cam_b", 0) == first
    pictures.close()


def test_a_new_data_set_is_made_beside_and_nowhere_else(root: Path) -> None:
    folders = DataFolders(root)
    assert folders.beside(root / "set", "out") == root / "out"
    assert folders.beside(root, "out") == root / "out"
    for name in ("../out", "/out", "a/b", ".hidden", "", "..", "linked/out"):
        with pytest.raises(Refused, match="allowed"):
            folders.beside(root / "set", name)


def test_folders_with_episodes_are_found_and_links_out_of_them_are_not(root: Path) -> None:
    folders = DataFolders(root)
    assert folders.names() == ["own", "raw", "set"]
    with pytest.raises(Unknown, match="allowed: own, raw, set"):
        folders.folder("other")
    with pytest.raises(Refused):
        folders.folder("linked")
