"""A checkpoint held against the robot before anything moves, by `vgil checkpoint check` in a process of its own.

Torch is loaded there, not here: the page stays light, and goes on whatever becomes of the check.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgil_ros.assets import checkpoint_path
from vgil_ros.web.acting.checkpoints import CONFIG, is_address

PATIENCE_S = 600.0  # torch alone takes a while on a busy machine
MOST_CARD = 20_000  # characters of a card that are shown


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        checkpoint: as it was given.
        fits: it may drive this robot.
        wrong: what stands against it, in words.
        unchecked: what the checkpoint does not tell.
        describes: what it is, line by line.
        card: its README, Markdown; "" for none.
        version: of the checkpoint's files; another one has to be checked anew.
    """

    checkpoint: str
    fits: bool
    wrong: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    describes: tuple[str, ...] = ()
    card: str = ""
    version: tuple[int, ...] = ()


def version_of(checkpoint: str) -> tuple[int, ...]:
    """When a checkpoint's files were written, ns; () of a server."""
    if is_address(checkpoint):
        return ()
    folder, found = checkpoint_path(checkpoint), []
    for name in (CONFIG, "model.safetensors"):
        with contextlib.suppress(OSError):
            found.append((folder / name).stat().st_mtime_ns)
    return tuple(found)


def card_of(checkpoint: str) -> str:
    """A checkpoint's README; "" where it has none."""
    if is_address(checkpoint):
        return ""
    try:
        return (checkpoint_path(checkpoint) / "README.md").read_text(encoding="utf-8", errors="replace")[:MOST_CARD]
    except OSError:
        return ""


async def check(checkpoint: str, robot: str, patience_s: float = PATIENCE_S) -> Verdict:
    """Hold a checkpoint against a robot.

    Args:
        checkpoint: as `checkpoints.chosen` returns it.
        robot: a contract, by name or path.
        patience_s: then it is given up.
    """
    version, card = version_of(checkpoint), card_of(checkpoint)
    with tempfile.TemporaryDirectory(prefix="vgil_check_", ignore_cleanup_errors=True) as folder:
        report = Path(folder) / "report.json"
        words = [sys.executable, "-m", "vgil_ros.cli.main", "checkpoint", "check", checkpoint]
        words += ["--robot", robot, "--json", str(report)]
        nice = shutil.which("nice")  # a robot may be moving meanwhile
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *([nice, "-n", "2"] if nice else []), *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), patience_s)
        except asyncio.TimeoutError:
            return Verdict(checkpoint, False, (f"the check did not end: waited {patience_s:g} s",), card=card)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
    wrong = tuple(found.get("mismatches", ())) if found else _last_words(err or out)
    unchecked, describes = tuple(found.get("unchecked", ())), tuple(found.get("describes", ()))
    return Verdict(checkpoint, process.returncode == 0, wrong, unchecked, describes, card, version)


def _last_words(output: bytes, most: int = 12) -> tuple[str, ...]:
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return tuple(lines[-most:]) or ("the check ended without a word",)
