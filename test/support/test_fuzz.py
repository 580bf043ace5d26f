"""The harness itself: each way of failing is seen, and the inputs after it are still tried."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import fuzz
from vgil_ros.core.errors import VgilError


def _target(what: str) -> None:
    if what == "ours":
        raise VgilError("x.hdf5: is broken")
    if what == "theirs":
        dict[str, str]()["key"]
    if what == "hidden":
        try:
            bytearray(1 << 34)
        except MemoryError as error:
            raise VgilError("too much") from error
    while what == "loops":
        pass
    if what == "waits":
        time.sleep(60)
    if what == "much":
        bytearray(1 << 34)
    if what == "grows":
        block = bytearray(96 << 20)
        block[::4096] = b"x" * len(block[::4096])
    if what == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "writes":
        Path("../outside").write_text("x")
    if what == "inside":
        Path("inside").write_text("x")
    if what == "runs":
        subprocess.run(["true"], check=False)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("nothing", "fine"),
        ("inside", "fine"),
        ("ours", "refused"),
        ("theirs", "exception"),
        ("hidden", "memory"),
        ("much", "memory"),
        ("grows", "memory"),
        ("loops", "hang"),
        ("waits", "hang"),
        ("writes", "escape"),
        ("runs", "escape"),
    ],
)
def test_each_ending_is_told(tmp_path: Path, what: str, kind: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    todo = [("before", "nothing"), ("it", what), ("after", "ours")]
    memory = 64 << 20 if what == "grows" else fuzz.GIB
    outcomes = fuzz.run(_target, todo, folder=folder, seconds=0.5, memory=memory)
    assert [outcome.name for outcome in outcomes] == ["before", "it", "after"]
    assert [outcome.kind for outcome in outcomes] == ["fine", kind, "refused"], fuzz.failures(outcomes)
    assert outcomes[2].words == "x.hdf5: is broken"


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    allowed = [name for name in fuzz.FORBIDDEN if name != "os.kill"]
    outcomes = fuzz.run(_target, [("a", "dies"), ("b", "nothing")], folder=tmp_path, forbidden=allowed)
    assert [outcome.kind for outcome in outcomes] == ["signal", "fine"]
    assert "SIGSEGV" in outcomes[0].words
    assert fuzz.summary(outcomes).startswith("2 inputs: 1 signal, 1 fine")
