"""Findings of a check, and the report of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        severity: "error" (do not train on it), "warning" (look at it), "info".
        check: the check that found it.
        stream: the stream, dataset or camera it is about.
        rows: the rows it is about, as inclusive (first, last) spans; none where it is about all.
        message: what was found, and what was expected.
    """

    severity: Severity
    check: str
    stream: str
    message: str
    rows: tuple[tuple[int, int], ...] = ()

    @property
    def rank(self) -> int:
        """Its place among findings: errors first."""
        return SEVERITIES.index(self.severity)

    @property
    def where(self) -> str:
        """The rows in words, "3-7, 12", at most six spans of them."""
        parts = [f"{a}" if a == b else f"{a}-{b}" for a, b in self.rows[:6]]
        more = len(self.rows) - 6
        return ", ".join(parts) + (f" and {more} more" if more > 0 else "")

    def __str__(self) -> str:
        """Return one line: severity, stream, message, rows."""
        where = f" (rows {self.where})" if self.rows else ""
        return f"{self.severity}: {self.stream}: {self.message}{where}"


@dataclass(frozen=True, eq=False)
class Facts:
    """What of an episode is compared with the other episodes of its folder.

    Attributes:
        rows: T.
        mean, spread: of qpos, (D,): mean, and standard deviation.
        joints: names of the columns, or None.
        success, task: as stated, or None.
        setup: see `same_setup.setup_of_episode`; empty of an aborted one, which nothing is held against.
    """

    rows: int
    mean: np.ndarray
    spread: np.ndarray
    joints: tuple[str, ...] | None
    success: bool | None
    task: str | None
    setup: Mapping[str, str] = field(default_factory=dict)

    def name(self, column: int) -> str:
        """A column's name."""
        return self.joints[column] if self.joints and column < len(self.joints) else f"column {column}"


@dataclass(frozen=True)
class Report:
    """All that was found in one file.

    Attributes:
        path: the file.
        findings: errors first.
        facts: what it has in common with others, where it could be read.
    """

    path: Path
    findings: tuple[Finding, ...]
    facts: Facts | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The errors among the findings."""
        return self.of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The warnings among the findings."""
        return self.of("warning")

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"file": str(self.path), "ok": self.ok, "findings": [asdict(finding) for finding in self.findings]}


def spans(rows: Iterable[int] | Sequence[int] | np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return ascending row numbers as inclusive (first, last) spans."""
    out: list[tuple[int, int]] = []
    for row in map(int, rows):
        if out and row == out[-1][1] + 1:
            out[-1] = (out[-1][0], row)
        else:
            out.append((row, row))
    return tuple(out)
