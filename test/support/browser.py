"""A headless browser that opens a page and says what went wrong in it. It needs Chromium or Chrome, nothing else."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CONSOLE = re.compile(r"CONSOLE[^\]]*\] (.*)")
PROBE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><iframe id="page" width="1200" height="900"></iframe>
<script>
const errors = [];
const frame = document.getElementById("page");
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
async function playable(video) {
  video.preload = "auto"; video.muted = true;
  await Promise.race([video.play().catch((e) => errors.push(`${video.src}: ${e}`)), wait(20000)]);
  for (let n = 0; n < 100 && !video.error && video.currentTime === 0; n++) await wait(100);
  video.pause();
  return {src: video.getAttribute("src"), width: video.videoWidth, seconds: video.duration, at: video.currentTime,
    error: video.error ? video.error.message || String(video.error.code) : null};
}
frame.onload = async () => {
  const page = frame.contentDocument;
  const videos = [];
  for (const video of page.querySelectorAll("video")) videos.push(await playable(video));
  const images = [...page.images].map((i) => ({src: i.getAttribute("src"), width: i.complete ? i.naturalWidth : 0}));
  const found = {title: page.title, text: page.body.innerText, images, videos, errors,
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth};
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
};
frame.src = decodeURIComponent(location.hash.slice(1));
</script>
"""  # noqa: E501


@dataclass
class Found:
    """What the browser saw: the page's own account, lines on its console, and requests that got no answer."""

    page: dict[str, Any] = field(default_factory=dict)
    console: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def browser() -> str | None:
    """The browser's path, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def look(page: Path, *, seconds: float = 120.0) -> Found:
    """Open a page over HTTP, play its videos for a moment, and return what was seen."""
    found, done = Found(), threading.Event()
    handler = functools.partial(_Handler, found, done, directory=str(page.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/_probe#{page.name}"
        with _running(address) as log:
            if not done.wait(seconds):
                raise AssertionError(f"the browser gave no account in {seconds} s; its last words:\n{log()[-3000:]}")
            text = log()
        server.shutdown()
    found.console = CONSOLE.findall(text)
    return found


def console_of_file(page: Path, image: Path, *, seconds: float = 60.0) -> list[str]:
    """Open a page as a file, as a double click does, take its image, and return the lines on its console."""
    with tempfile.TemporaryDirectory(prefix="vgil_browser_", ignore_cleanup_errors=True) as profile:
        command = [*_command(profile), "--window-size=1200,2400", f"--screenshot={image}", page.absolute().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert image.is_file(), done.stderr[-3000:]
    return CONSOLE.findall(done.stderr)


def _command(profile: str) -> list[str]:
    path = browser()
    assert path is not None
    # a container's root has no sandbox, and a small /dev/shm is not enough for the browser's own buffers
    return [
        path,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--mute-audio",
        "--enable-logging=stderr",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={profile}",
    ]


@contextlib.contextmanager
def _running(address: str) -> Iterator[Any]:
    with (
        tempfile.TemporaryDirectory(prefix="vgil_browser_", ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryFile("w+", errors="replace") as log,
    ):

        def said() -> str:
            log.flush()
            log.seek(0)
            return log.read()

        process = subprocess.Popen(
            [*_command(profile), "--remote-debugging-port=0", address], stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            yield said
        finally:
            process.terminate()
            process.wait(20.0)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page's folder and the probe, and hears its account."""

    def __init__(self, found: Found, done: threading.Event, *arguments: Any, **more: Any) -> None:
        self._found, self._done = found, done
        super().__init__(*arguments, **more)

    def do_GET(self) -> None:
        if self.path.startswith("/_probe"):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PROBE.encode())
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a browser may take a part of a video only
            super().do_GET()

    def do_POST(self) -> None:
        self._found.page = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self._done.set()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._found.missing.append(f"{code} {self.path}")
        super().send_error(code, message, explain)

    def log_message(self, *_: Any) -> None:
        pass
