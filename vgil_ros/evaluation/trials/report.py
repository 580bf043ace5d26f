"""Report of a trial: who was who, how often each succeeded, who is better, and the digests that hold it together.

It follows from the journal and the unsealed order alone, so that `verify` can make it again and compare.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

from vgil_ros.core.config import StrictModel
from vgil_ros.evaluation.comparing.report import OPTIMISTIC
from vgil_ros.evaluation.comparing.several import compare_all
from vgil_ros.evaluation.metrics import wilson
from vgil_ros.evaluation.trials.journal import ReadJournal, times_of
from vgil_ros.evaluation.trials.plan import HiddenOrder, TrialPlan
from vgil_ros.evaluation.trials.session import REPEATED, outcomes

ENDS = {
    "decided": "the sequential test told all of them apart",
    "max": "all the attempts asked for were made",
    "quit": "it was interrupted",
}


class ContenderResult(StrictModel):
    """How one policy did: attempts that were labelled, successes, 95 % interval (Wilson), and the others."""

    name: str
    source: str
    fingerprint: str | None
    attempts: int
    successes: int
    success_interval_95: tuple[float, float]
    unsure: int


class PairResult(StrictModel):
    """Two policies: see `comparing.several.PairVerdict`; `better` is a name."""

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    interval: tuple[float, float]
    e_value: float
    p_value: float
    better: str | None


class TrialReport(StrictModel):
    """Everything that a trial found.

    Attributes:
        plan: as it was settled before the first attempt.
        order: of each block, unsealed: the contenders' numbers, in the order of the attempts.
        reason: why it ended: `decided`, `max`; `quit` where it was interrupted, and is not over.
        repeated: attempts that were made again, and do not count.
        hidden: the seed and salt whose digest is the plan's `commitment`.
        journal_digest: of the journal's last line, and with it of all of them.
        seal: SHA-256 of all of the above.
    """

    plan: TrialPlan
    began: str
    ended: str
    reason: Literal["decided", "max", "quit"]
    blocks: int
    repeated: int
    contenders: tuple[ContenderResult, ...]
    pairs: tuple[PairResult, ...]
    order: tuple[tuple[int, ...], ...]
    hidden: HiddenOrder
    journal_digest: str
    seal: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Its plain values, as JSON has them."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """What `seal` must be."""
        values = {key: value for key, value in self.as_dict().items() if key != "seal"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def make_trial_report(journal: ReadJournal, hidden: HiddenOrder) -> TrialReport:
    """Unseal a trial.

    Raises:
        VgilError: the journal has no plan.
    """
    plan, names = journal.plan, names_of(journal.plan)
    counted = [record for record in journal.attempts if record.verdict != REPEATED]
    blocks = outcomes(plan, hidden, counted)
    began, ended = times_of(journal.lines)
    made = TrialReport(
        plan=plan,
        began=began,
        ended=ended,
        reason=journal.end or "quit",
        blocks=len(blocks),
        repeated=len(journal.attempts) - len(counted),
        contenders=tuple(_contender(plan, i, [block[i] for block in blocks]) for i in range(len(names))),
        pairs=tuple(_pairs(blocks, names, plan.alpha)),
        order=tuple(hidden.block(number, len(names)) for number in range(len(blocks))),
        hidden=hidden,
        journal_digest=journal.digest,
    )
    return made.model_copy(update={"seal": made.digest()})


def names_of(plan: TrialPlan) -> list[str]:
    """What the contenders are called in a report: their folders' names, numbered where they are alike."""
    short = [one.source.rstrip("/").rpartition("/")[2] or one.source for one in plan.contenders]
    return [name if short.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(short)]


def _contender(plan: TrialPlan, number: int, results: list[bool | None]) -> ContenderResult:
    known = [result for result in results if result is not None]
    one = plan.contenders[number]
    return ContenderResult(
        name=names_of(plan)[number],
        source=one.source,
        fingerprint=one.fingerprint,
        attempts=len(known),
        successes=sum(known),
        success_interval_95=wilson(sum(known), len(known)) if known else (0.0, 1.0),
        unsure=len(results) - len(known),
    )


def _pairs(blocks: Sequence[Sequence[bool | None]], names: Sequence[str], alpha: float) -> list[PairResult]:
    return [
        PairResult(
            first=names[verdict.first],
            second=names[verdict.second],
            **vars(verdict.counts),
            difference=verdict.counts.difference,
            interval=verdict.interval,
            e_value=verdict.e_value,
            p_value=verdict.p_value,
            better=None if verdict.better is None else names[verdict.better],
        )
        for verdict in compare_all(blocks, alpha)
    ]


def _how(plan: TrialPlan) -> str:
    played = "as its checkpoint says" if plan.execution is None else f"by `{plan.execution}`"
    label = "the operator" if plan.label == "keys" else f"`{plan.success_topic or 'a topic'}`"
    return f"Each policy's chunks were played {played}; {label} said what had succeeded."


def trial_markdown(report: TrialReport) -> str:
    """The report as a page."""
    plan = report.plan
    task = f", task '{plan.task}'" if plan.task else ""
    lines = [
        "# Trial",
        "",
        f"On `{plan.robot}`{task}, {report.began} to {report.ended} (UTC). {report.blocks} blocks, each with every"
        f" policy once in a random order that nobody knew; {report.repeated} attempts were repeated. It ended because"
        f" {ENDS[report.reason]}. {_how(plan)}",
        "",
        "| policy | success | 95 % interval | unsure |",
        "| --- | --- | --- | --- |",
        *(
            f"| {one.name} | {one.successes} of {one.attempts} | {one.success_interval_95[0]:.0%} to"
            f" {one.success_interval_95[1]:.0%} | {one.unsure} |"
            for one in report.contenders
        ),
        "",
        f"| first | second | only first | only second | difference | {100 * (1 - plan.alpha):g} % interval, all"
        " together | evidence e | better |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {one.first} | {one.second} | {one.only_first} | {one.only_second} | {one.difference:+.0%} |"
            f" {one.interval[0]:+.0%} to {one.interval[1]:+.0%} | {one.e_value:.3g} |"
            f" {one.better or 'cannot be told'} |"
            for one in report.pairs
        ),
        "",
        f"Any two equal policies are told apart with a probability of at most {plan.alpha:g}, wherever a trial is"
        " stopped.",
        *(["", OPTIMISTIC] if report.reason == "decided" else []),
        "",
        *(f"- {one.name}: `{one.source}`, SHA-256 `{one.fingerprint or 'unknown'}`" for one in report.contenders),
        f"- journal: `{report.journal_digest}`",
        f"- seal: `{report.seal}`",
    ]
    return "\n".join(lines) + "\n"
