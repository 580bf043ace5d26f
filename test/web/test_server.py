"""The server by itself: how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nicegui")

# a Ctrl-C in the moment in which the address is said, and one while the application comes up
CODE = """
import os, signal
from vgil_ros.web.cameras.hub import FrameHub
from vgil_ros.web.server import WebServer
from vgil_ros.web.settings import WebSettings
from vgil_ros.web.site import Site

def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)

server = WebServer(Site(WebSettings(port=0)))
if MOMENT == "said":
    say = interrupt
else:
    say, FrameHub.bind = print, interrupt
try:
    server.run_until_interrupted(say)
except KeyboardInterrupt:
    print("ended")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


@pytest.mark.parametrize("moment", ["said", "coming up"])
def test_it_can_be_interrupted_before_it_serves(moment: str, tmp_path: Path) -> None:
    code = CODE.replace("MOMENT", repr(moment))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "ended"
