"""Viewers of the page without a browser: they read the page, keep its WebSocket, answer it, and take every camera's
pictures as a browser does. What is measured beside them is the page's cost, not a browser's.

    python -m support.web.viewer ADDRESS PATH VIEWERS SECONDS

Prints one line of JSON: pictures, their ages on arrival in ms (p50, p95, largest), and messages of the page.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import uuid
from typing import Any

import aiohttp
import numpy as np
import socketio  # type: ignore[import-untyped]

STAMP = re.compile(rb"X-Stamp-Ns: (\d+)\r\n")
CLIENT = re.compile(r"'client_id': '([^']+)'")
CAMERA = re.compile(r"/camera/[^\"\\]+?\.mjpg")


class Viewer:
    """One viewer."""

    def __init__(self, address: str, path: str) -> None:
        self._address, self._path = address, path
        self.ages_ms: list[float] = []
        self.messages = 0

    async def look(self, seconds: float) -> None:
        """Open the page and look for so long."""
        async with aiohttp.ClientSession() as session:
            async with session.get(self._address + self._path) as answer:
                text = await answer.text()
            found = CLIENT.search(text)
            assert found is not None, text[:2000]
            wire = socketio.AsyncClient(http_session=session)
            wire.on("*", self._heard(wire, found.group(1)))
            query = {"client_id": found.group(1), "tab_id": str(uuid.uuid4()), "document_id": str(uuid.uuid4())}
            words = "&".join(
                f"{key}={value}"
                for key, value in {**query, "next_message_id": "0", "implicit_handshake": "true"}.items()
            )
            url = f"{self._address}/?{words}"
            await wire.connect(url, socketio_path="/_nicegui_ws/socket.io", transports=["websocket"])
            cameras = sorted(set(CAMERA.findall(text)))
            assert cameras, "the page shows no camera"
            streams = [asyncio.create_task(self._stream(session, camera)) for camera in cameras]
            await asyncio.sleep(seconds)
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            await wire.disconnect()

    def _heard(self, wire: Any, client: str) -> Any:
        async def heard(event: str, *data: Any) -> None:
            self.messages += 1
            if event == "run_javascript" and data and data[0].get("request_id"):
                answer = {"client_id": client, "request_id": data[0]["request_id"], "result": 1}
                await wire.emit("javascript_response", answer)

        return heard

    async def _stream(self, session: aiohttp.ClientSession, camera: str) -> None:
        async with session.get(self._address + camera, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            seen: set[int] = set()
            async for chunk in answer.content.iter_any():
                for match in STAMP.finditer(chunk):
                    stamp = int(match.group(1))
                    if stamp not in seen:
                        seen.add(stamp)
                        self.ages_ms.append((time.time_ns() - stamp) / 1e6)


async def main(address: str, path: str, viewers: int, seconds: float) -> dict[str, Any]:
    """Look with so many viewers, and return the figures."""
    made = [Viewer(address, path) for _ in range(viewers)]
    await asyncio.gather(*(viewer.look(seconds) for viewer in made))
    ages = np.array([age for viewer in made for age in viewer.ages_ms])
    return {
        "pictures": len(ages),
        "pictures_per_s": len(ages) / seconds,
        "age_p50_ms": float(np.percentile(ages, 50)) if len(ages) else None,
        "age_p95_ms": float(np.percentile(ages, 95)) if len(ages) else None,
        "age_max_ms": float(ages.max()) if len(ages) else None,
        "messages": sum(viewer.messages for viewer in made),
    }


if __name__ == "__main__":
    given = sys.argv[1:]
    print(json.dumps(asyncio.run(main(given[0], given[1], int(given[2]), float(given[3])))), flush=True)
