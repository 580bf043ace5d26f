"""The server: FastAPI and NiceGUI behind the gate, run by uvicorn in a thread of its own or in the caller's."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from nicegui import ui

from vgil_ros.core.errors import VgilError
from vgil_ros.web.access.gate import Gate
from vgil_ros.web.access.visitors import Role
from vgil_ros.web.cameras.routes import add_routes
from vgil_ros.web.pages import register_pages
from vgil_ros.web.parts.sounds import add_sounds
from vgil_ros.web.site import Site

TITLE = "vgil_ros"
END_S = 2.0  # so long browsers get to hang up
START_S = 30.0
RECONNECT_S = 30.0  # a browser that a network let go of for so long comes back to its page as it was


class WebServer:
    """A site's server.

    Args:
        site: what it shows. One a process: NiceGUI knows one application.

    Raises:
        VgilError: where the address cannot be listened on.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        settings = site.settings
        self._socket = _listen(settings.host, settings.port)
        self.port = int(self._socket.getsockname()[1])
        visitors, self._tokens = settings.visitors()
        app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None, lifespan=self._lifespan)
        app.get("/healthz")(lambda: PlainTextResponse("ok"))
        add_routes(app, site.hub)
        add_sounds(app)
        register_pages(app, site)
        # what it serves are JPEGs and numbers: compression would cost more than it saves
        ui.run_with(
            app,
            title=TITLE,
            dark=None,
            gzip_middleware_factory=None,
            show_welcome_message=False,
            reconnect_timeout=RECONNECT_S,
        )
        gate = Gate(app, visitors, settings.hosts(), self.port)
        config = uvicorn.Config(
            gate,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(END_S),
            ws_max_size=1 << 20,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.site.hub.bind(asyncio.get_running_loop())
        yield

    def links(self) -> dict[Role, str]:
        """The addresses to open, with their tokens; the one that looks only where tokens are asked for."""
        settings = self.site.settings
        host = settings.host if settings.host not in ("0.0.0.0", "::") else settings.hosts()[-1]
        if host in settings.hosts() and settings.host in ("0.0.0.0", "::"):
            host = next((one for one in settings.hosts() if one[:1].isdigit() and not one.startswith("127.")), host)
        base = f"http://{host}:{self.port}/"
        if not self._tokens:
            return {Role.OPERATE: base}
        return {role: f"{base}?token={token}" for role, token in self._tokens.items()}

    def announce(self, say: Callable[[str], None]) -> None:
        """Say where the page is."""
        links = self.links()
        say(f"page: {links[Role.OPERATE]}")
        if Role.LOOK in links:
            say(f"page, to look on only: {links[Role.LOOK]}")
            say("whoever has these links reaches this robot; they go over the network unencrypted")

    def start(self) -> None:
        """Serve in a thread; returns once it answers.

        Raises:
            VgilError: where it does not come up.
        """
        self._thread = threading.Thread(target=self.run, name="web", daemon=True)
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_S / 0.05)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waited.wait(0.05)
        where = f"{self.site.settings.host}:{self.port}"
        raise VgilError(f"the page did not come up in {START_S:g} s on {where}; a busy machine? It needs a new start")

    def run(self) -> None:
        """Serve until told to stop, in this thread."""
        self._server.run(sockets=[self._socket])

    def run_until_interrupted(self, say: Callable[[str], None]) -> None:
        """Say where the page is and serve in the main thread, until SIGINT.

        The signal is only noted, from before the address is said on: an exception that is raised anywhere could be
        swallowed there, or tear the server's beginning in two.

        Raises:
            KeyboardInterrupt: once everybody was sent home.
        """
        asked: list[int] = []

        def note(number: int, _frame: object) -> None:
            asked.append(number)
            self._server.should_exit = True

        before = signal.signal(signal.SIGINT, note)
        try:
            self.announce(say)
            self.run()  # uvicorn takes the signal over, and hands on here what it got
        finally:
            signal.signal(signal.SIGINT, before)
        if asked:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Send everybody home and end."""
        self.site.hub.close()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(2 * END_S)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        why = error.strerror or str(error)
        raise VgilError(
            f"cannot listen on {host}:{port} ({why}); allowed: an address of this computer and a port that nothing else"
            " listens on; port 0 takes a free one"
        ) from error
    listening.listen(128)
    return listening
