"""Report of a data set: the verdict of each episode, worst first, and what was found of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.episodes.checks.findings import SEVERITIES, Finding, Severity

ADVICE: dict[Severity, str] = {
    "error": "do not train on it: mend it, or delete it",
    "warning": "look at it: `vgil episodes plot FILE`",
    "info": "",
}
WEIGHT: dict[Severity, int] = {"error": 100, "warning": 10, "info": 0}


@dataclass(frozen=True)
class Verdict:
    """What was found in one episode.

    Attributes:
        number, name: its place in the data set, and its name.
        found: errors first.
    """

    number: int
    name: str
    found: tuple[Found, ...]

    def of(self, *severities: Severity) -> tuple[Found, ...]:
        """What was found of these severities."""
        return tuple(one for one in self.found if one.finding.severity in severities)

    @property
    def score(self) -> int:
        """The larger, the worse."""
        return sum(WEIGHT[one.finding.severity] for one in self.found)


@dataclass(frozen=True, eq=False)
class QualityReport:
    """All that was found in a data set.

    Attributes:
        path, kind: the data set, and how its episodes are stored.
        verdicts: of all episodes, by place.
        whole: what is about no single episode.
        data: the summaries that it was found in.
    """

    path: Path
    kind: str
    verdicts: tuple[Verdict, ...]
    whole: tuple[Found, ...]
    data: DataSet

    @property
    def ranked(self) -> list[Verdict]:
        """Episodes with errors or warnings, worst first."""
        flagged = [one for one in self.verdicts if one.of("error", "warning")]
        return sorted(flagged, key=lambda one: (-one.score, one.number))

    def bad(self, fail_on: Severity) -> list[Verdict]:
        """Episodes with a finding as grave as `fail_on`, or graver."""
        return [one for one in self.verdicts if one.of(*_at_least(fail_on))]

    def ok(self, fail_on: Severity) -> bool:
        """Whether nothing is as grave as `fail_on`, in the episodes and in the whole."""
        grave = _at_least(fail_on)
        return not self.bad(fail_on) and not any(one.finding.severity in grave for one in self.whole)

    def counts(self) -> Counter[str]:
        """How many episodes each check names, by errors and warnings."""
        named = ({one.finding.check for one in verdict.of("error", "warning")} for verdict in self.verdicts)
        return Counter(check for checks in named for check in checks)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "data_set": str(self.path),
            "kind": self.kind,
            "episodes": [{"name": one.name, "findings": list(_told(one.found))} for one in self.verdicts],
            "findings": list(_told(self.whole)),
        }


def _at_least(severity: Severity) -> tuple[Severity, ...]:
    return SEVERITIES[: SEVERITIES.index(severity) + 1]


def _told(found: tuple[Found, ...]) -> Iterator[dict[str, Any]]:
    return ({**asdict(one.finding), "advice": one.advice} for one in found)


def advised(episode: int | None, finding: Finding) -> Found:
    """What a check of single episodes found, with the advice that its severity stands for."""
    return Found(episode, finding, ADVICE[finding.severity])
