"""Episodes of a folder beside each other: one whose joints are far from where they are in the others, in degrees
among radians, and what only some of them state.

Robust on purpose: the middle of the episodes' own means and spreads, so that one bad episode does not hide itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from vgil_ros.episodes.checks.findings import Facts, Finding, Report

FEWEST = 3  # episodes of a kind that can be compared
FAR_OFF = 10.0  # spreads of the others away
LEAST = 0.1  # rad: a spread below counts as this
DEGREES = (20.0, 170.0)  # times the others' spread: 57.3 if it is in degrees


def compare(reports: Sequence[Report]) -> list[Report]:
    """Return the reports of a folder's episodes with what only shows beside each other; those without facts stay."""
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, report in enumerate(reports):
        if report.facts is not None and report.facts.rows > 0:
            alike[report.facts.joints, report.facts.mean.shape].append(i)
    out = list(reports)
    for places in alike.values():
        if len(places) < FEWEST:
            continue
        facts = [report.facts for i in places if (report := reports[i]).facts is not None]
        more = [list(_far_off(one, facts)) + list(_unsaid(one, facts)) for one in facts]
        for i, found in zip(places, more, strict=True):
            ranked = sorted((*out[i].findings, *found), key=lambda finding: finding.rank)
            out[i] = replace(out[i], findings=tuple(ranked))
    return out


def _far_off(one: Facts, all_of_them: Sequence[Facts]) -> Iterator[Finding]:
    means = np.stack([facts.mean for facts in all_of_them])
    spreads = np.stack([facts.spread for facts in all_of_them])
    middle = np.median(means, axis=0)
    usual = np.maximum(np.median(spreads, axis=0), np.median(np.abs(means - middle), axis=0))
    usual = np.maximum(usual, LEAST)
    off = np.abs(one.mean - middle) / usual
    ratio = one.spread / usual
    wide = (ratio > DEGREES[0]) & (ratio < DEGREES[1])
    if wide.sum() > 0 and wide.sum() >= 0.5 * np.sum(one.spread > LEAST):
        names = ", ".join(one.name(i) for i in np.flatnonzero(wide)[:4])
        message = (
            f"{names} move {np.median(ratio[wide]):.0f} times as far as in the other {len(all_of_them) - 1} episodes:"
            " degrees among radians? allowed: one unit in all"
        )
        yield Finding("error", "outliers", "qpos", message)
        return
    for i in np.flatnonzero(off > FAR_OFF):
        message = (
            f"qpos is {one.mean[i]:.3g} on average; in the other {len(all_of_them) - 1} episodes about"
            f" {middle[i]:.3g}, give or take {usual[i]:.2g}"
        )
        yield Finding("warning", "outliers", one.name(int(i)), message)


def _unsaid(one: Facts, all_of_them: Sequence[Facts]) -> Iterator[Finding]:
    """Success and task where they are missing or another in some."""
    told = sum(facts.success is not None for facts in all_of_them)
    if one.success is None and told:
        yield Finding("info", "outliers", "success", f"is not stated; it is in {told} of {len(all_of_them)} episodes")
    tasks = Counter(facts.task or "" for facts in all_of_them)
    usual = tasks.most_common(1)[0][0]
    if (one.task or "") != usual:
        found = f"is '{one.task}'" if one.task else "is not stated"
        yield Finding("info", "outliers", "task", f"{found}; in {tasks[usual]} of {len(all_of_them)} it is '{usual}'")
