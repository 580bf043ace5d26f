"""`log.jsonl`: one JSON object a line; a resumed run goes on where its checkpoint was."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class JsonLines:
    """Appends records, each written through at once."""

    def __init__(self, path: Path, *, after: int) -> None:
        """Open a log and take off the records of steps beyond `after`, which will come again, and a half last line."""
        kept = [record for record in read_log(path) if record["step"] <= after] if path.exists() else []
        part = path.with_suffix(".part")
        part.write_text("".join(map(_line, kept)), encoding="utf-8")
        part.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Record) -> None:
        """Append a record; numbers that are not finite become null."""
        self._file.write(_line(record))
        self._file.flush()

    def close(self) -> None:
        """Bring all to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def read_log(path: Path) -> list[Record]:
    """Records of a log; a last line that a killed run left half is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def _line(record: Record) -> str:
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    return json.dumps(plain) + "\n"
