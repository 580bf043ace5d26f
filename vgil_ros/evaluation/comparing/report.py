"""Report of a comparison: two evaluations of the same scenes, what tells them apart, and how sure that is."""

from __future__ import annotations

from typing import Any, Literal

from vgil_ros.core.config import StrictModel
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.comparing.paired import PairedCounts, checked_share, difference_interval, mcnemar_exact
from vgil_ros.evaluation.comparing.sequential import decides, difference_sequence, e_value
from vgil_ros.evaluation.report import EvaluationReport

Which = Literal["first", "second"]
OPTIMISTIC = "Rates at such an end lie further apart than the true ones, on average; the intervals hold."


class ComparisonReport(StrictModel):
    """Everything that a comparison found; all but each report's `machine` follows from the seed.

    Attributes:
        first, second: the evaluation of either checkpoint, on the very same scenes.
        pairs: scenes that both were given, and how many of them ended in which of the four ways.
        difference: of the success rates, first less second.
        difference_interval: of it, with the confidence 1 - alpha.
        test: `mcnemar_exact` for a number of pairs that was chosen beforehand; `sequential` where the comparison was
            looked at after each pair and might stop early. P-value and interval are that test's.
        e_value: evidence of the sequential test, whichever was asked for.
        better: which one is, at the level alpha; None where that cannot be told.
        stopped_early: before all the scenes asked for.
    """

    first: EvaluationReport
    second: EvaluationReport
    alpha: float
    pairs: int
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    difference_interval: tuple[float, float]
    test: Literal["mcnemar_exact", "sequential"]
    p_value: float
    e_value: float
    better: Which | None
    stopped_early: bool = False

    @property
    def counts(self) -> PairedCounts:
        """The pairs by how they ended."""
        return PairedCounts(self.both, self.only_first, self.only_second, self.neither)

    def as_dict(self) -> dict[str, Any]:
        """Its plain values, as JSON has them."""
        return self.model_dump(mode="json", by_alias=True)


def compare_reports(
    first: EvaluationReport,
    second: EvaluationReport,
    alpha: float = 0.05,
    *,
    sequential: bool = False,
    stopped_early: bool = False,
) -> ComparisonReport:
    """Compare two evaluations scene by scene.

    Args:
        first, second: of the same scenes.
        alpha: the probability, at most, of telling equal ones apart; the interval has the confidence 1 - alpha.
        sequential: whether it was looked at after each pair, with `sequential.decides`.
        stopped_early: for the report.

    Raises:
        VgilError: they are not of the same scenes, or alpha is not between 0 and 1.
    """
    checked_share("alpha", alpha)
    for name in ("task", "robot", "seed", "episodes", "episode_len"):
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours != theirs:
            raise VgilError(f"{name}: found {ours} and {theirs}; allowed: reports of the very same scenes")
    counts = PairedCounts.of((a.success, b.success) for a, b in zip(first.rollouts, second.rollouts, strict=True))
    evidence = e_value(counts)
    p_value = min(1.0, 1 / evidence) if sequential else mcnemar_exact(counts)
    apart = decides(counts, alpha) if sequential else p_value <= alpha
    interval = (difference_sequence if sequential else difference_interval)(counts, 1 - alpha)
    better: Which = "first" if counts.difference > 0 else "second"
    return ComparisonReport(
        first=first,
        second=second,
        alpha=alpha,
        pairs=counts.pairs,
        **vars(counts),
        difference=counts.difference,
        difference_interval=interval,
        test="sequential" if sequential else "mcnemar_exact",
        p_value=p_value,
        e_value=evidence,
        better=better if apart else None,
        stopped_early=stopped_early,
    )
