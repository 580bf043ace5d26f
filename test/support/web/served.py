"""`vgil web` in a process of its own, on a free port."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAYS = "page: "


@contextmanager
def served(dataset_dir: Path, *options: str) -> Iterator[str]:
    """The address of a page over a dataset folder, such as `http://127.0.0.1:1234/`; it ends with the block."""
    command = [sys.executable, "-m", "vgil_ros.cli.main", "web", "--dataset-dir", str(dataset_dir), "--port", "0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith(SAYS):
                    break
            else:
                raise AssertionError(f"vgil web said:\n{''.join(said)}")
            rest = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
            rest.start()
            yield line.removeprefix(SAYS).strip()
        finally:
            process.terminate()
            process.wait(30.0)
