"""What a data set is, in words, before anything is trained: what is left out, what is odd, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vgil_ros.policies.config import PolicyConfig
from vgil_ros.training.data.episode_stats import EpisodeStats, Moments, merge_all
from vgil_ros.training.errors import TrainingError

Log = Callable[[str], None]
_Ranges = dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]  # by width: places, lows (N, D), highs (N, D)
FAR = 5.0  # times another's range that an episode may reach beyond it
LEAST_RANGE = 0.5  # rad; of a joint that hardly moves elsewhere
TURNS = 13.0  # rad; two turns: no joint of an arm goes further
IDLE = 0.5  # share of idle rows worth a word
SHOWN = 3


def choose_episodes(
    stats: Sequence[EpisodeStats], log: Log, *, aborted: bool, only_successes: bool
) -> tuple[list[int], tuple[str, ...]]:
    """Choose the episodes that are trained from: (their places, what was left out, in words).

    Args:
        aborted: take those whose recording was broken off too.
        only_successes: take none but those that are marked as a success.

    Raises:
        TrainingError: none is left.
    """
    broken_off = [i for i, one in enumerate(stats) if one.facts.aborted is not None and not aborted]
    rest = [i for i in range(len(stats)) if i not in broken_off]
    failed = [i for i in rest if only_successes and stats[i].facts.success is not True]
    chosen = [i for i in rest if i not in failed]
    left: list[str] = []
    if broken_off:
        left.append(f"{len(broken_off)} aborted")
        one = stats[broken_off[0]]
        log(
            f"{len(broken_off)} of {len(stats)} episodes were aborted while recording and are left out, such as "
            f"{one.path} ({one.facts.aborted}); data.aborted=true takes them too"
        )
    if failed:
        left.append(f"{len(failed)} that are no success")
    if not chosen:
        raise TrainingError(
            f"{stats[0].path.parent}: none of {len(stats)} episodes is left to train from: {', '.join(left)} are left "
            "out; allowed: at least one (data.aborted=true, data.only_successes=false)"
        )
    return chosen, tuple(left)


def odd_episodes(stats: Sequence[EpisodeStats]) -> dict[int, str]:
    """Why numbers of an episode cannot be right, by its place: beyond its own contract, or far off all others."""
    found, ranges = {}, {what: _by_width([getattr(one, what) for one in stats]) for what in ("qpos", "action")}
    for place, one in enumerate(stats):
        words = one.facts.odd or _far_off(one, place, ranges)
        if words:
            more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
            found[place] = f"{one.path}: {'; '.join(words[:SHOWN])}{more}"
    return found


def _by_width(moments: Sequence[Moments]) -> _Ranges:
    widths = np.array([len(one.low) for one in moments])
    groups = {}
    for width in np.unique(widths).tolist():
        places = np.flatnonzero(widths == width)
        lows, highs = (np.array([getattr(moments[i], end) for i in places.tolist()]) for end in ("low", "high"))
        groups[width] = (places, lows, highs)
    return groups


def _far_off(one: EpisodeStats, place: int, ranges: Mapping[str, _Ranges]) -> tuple[str, ...]:
    words = []
    for what, known in ranges.items():
        own: Moments = getattr(one, what)
        places, lows, highs = known[len(own.low)]
        reach = FAR * np.maximum(highs - lows, LEAST_RANGE)
        far = (np.array(own.low) < lows - reach) | (np.array(own.high) > highs + reach)
        far[places == place] = False
        for index in np.flatnonzero(2 * far.sum(axis=0) > len(places) - 1).tolist():
            other = int(np.flatnonzero(far[:, index])[0])
            words.append(
                f"{what} of {_name(one, index)} is {own.low[index]:.4g}..{own.high[index]:.4g}, of most other episodes "
                f"about {lows[other, index]:.4g}..{highs[other, index]:.4g} (other units, or a wrong value? mend it)"
            )
    return tuple(words)


def _name(one: EpisodeStats, index: int) -> str:
    names = one.joint_names
    return names[index] if names is not None and index < len(names) else f"column {index}"


def warnings(stats: Sequence[EpisodeStats], policy: PolicyConfig) -> list[str]:
    """What a person should know of the data, one line each."""
    facts = [one.facts for one in stats]
    words = [f"{one.path}: {text}" for one in stats for text in one.facts.suspect][:SHOWN]
    hidden = sum(len(one.facts.suspect) for one in stats) - len(words)
    words += [f"{hidden} more values like this"] if hidden > 0 else []
    said = [fact.success for fact in facts if fact.success is not None]
    if said and not any(said):
        words.append(f"none of the {len(said)} episodes that say so was a success; mend the labels if they are wrong")
    tasks = Counter(one.task or "" for one in stats)
    if len(tasks) > 1 and not _told(policy):
        words.append(
            f"{len(tasks)} tasks ({_listed(tasks)}), and a policy of type {policy.type} that is told none: it cannot "
            "know which one is wanted"
        )
    still = [one for one in stats if one.facts.stays]
    if still:
        words.append(
            f"actions equal the measured positions in {len(still)} of {len(stats)} episodes, such as {still[0].path}: "
            "a policy learns from them to stay where it is; record the leader's positions as actions"
        )
    words += _turned(stats)
    rows = sum(one.rows for one in stats)
    if (idle := sum(fact.idle for fact in facts)) > IDLE * rows:
        worst = max(stats, key=lambda one: one.facts.idle / one.rows)
        words.append(
            f"nothing moves in {idle / rows:.0%} of the rows, most in {worst.path} ({worst.facts.idle} of "
            f"{worst.rows}): a policy learns to wait; leave such stretches out when recording"
        )
    if holes := sum(fact.holes for fact in facts):
        lost, count = sum(fact.lost_s for fact in facts), sum(1 for fact in facts if fact.holes)
        words.append(f"rows are missing at {holes} places of {count} episodes, {lost:.1f} s in all; chunks end there")
    if cut := [one for one in stats if one.facts.cut is not None]:
        words.append(
            f"{len(cut)} of {len(stats)} episodes may lack their end and are trained from as whole demonstrations, "
            f"such as {cut[0].path} ({cut[0].facts.cut}); see `vgil episodes plot`, and move away those that end too "
            "early"
        )
    words += [f"{path}: is {first} once more" for path, first in _doubled(stats)]
    return words


def _told(policy: PolicyConfig) -> bool:
    return policy.needs_task or bool(getattr(policy, "task_dim", 0))


def _turned(stats: Sequence[EpisodeStats]) -> list[str]:
    """Joints that are said to turn further than any does, where no contract tells their limits."""
    whole = merge_all(one.qpos for one in stats)
    far = [i for i, (low, high) in enumerate(zip(whole.low, whole.high, strict=True)) if max(-low, high) > TURNS]
    if not far:
        return []
    named = ", ".join(f"{_name(stats[0], i)} {whole.low[i]:.4g}..{whole.high[i]:.4g}" for i in far[:SHOWN])
    return [f"qpos goes beyond two turns ({named}): degrees? A robot's contract is in rad"]


def _doubled(stats: Sequence[EpisodeStats]) -> list[tuple[str, str]]:
    first: dict[str, str] = {}
    found = []
    for one in stats:
        if one.digest in first:
            found.append((str(one.path), first[one.digest]))
        first.setdefault(one.digest, str(one.path))
    return found


def without_twins(
    stats: Sequence[EpisodeStats], train: Sequence[int], validation: Sequence[int]
) -> tuple[list[int], list[int]]:
    """(train, validation) where no episode is kept for validation that is trained from under another name."""
    known = {stats[i].digest for i in train}
    twins = [i for i in validation if stats[i].digest in known]
    return sorted([*train, *twins]), [i for i in validation if i not in twins]


def summary(stats: Sequence[EpisodeStats], validation: Sequence[int], left_out: Sequence[str]) -> list[str]:
    """The data set in a few lines: counts, then each joint's range."""
    rows, rate = sum(one.rows for one in stats), next((one.rate_hz for one in stats if one.rate_hz), None)
    time = f", {rows / rate:.1f} s at {rate:g} Hz" if rate else ", rate unknown"
    facts = [one.facts for one in stats]
    said = Counter({True: "succeeded", False: "failed", None: "not said"}[fact.success] for fact in facts)
    idle = sum(fact.idle for fact in facts) / rows
    tasks = Counter(one.task or "" for one in stats)
    parts = [
        f"data: {len(stats)} episodes ({len(validation)} for validation), {rows} rows{time}",
        ", ".join(f"{count} {word}" for word, count in sorted(said.items())),
        f"tasks: {_listed(tasks)}",
        f"idle {idle:.0%}",
        f"gaps {sum(fact.holes for fact in facts)}",
        f"duplicates {len(_doubled(stats))}",
        *([f"left out: {', '.join(left_out)}"] if left_out else []),
    ]
    return ["; ".join(parts), *_ranges(stats)]


def _listed(tasks: Counter[str]) -> str:
    shown = ", ".join(f"{task or 'none'} ({count})" for task, count in tasks.most_common(SHOWN))
    return shown + (f" and {len(tasks) - SHOWN} more" if len(tasks) > SHOWN else "")


def _ranges(stats: Sequence[EpisodeStats]) -> list[str]:
    qpos, action = merge_all(one.qpos for one in stats), merge_all(one.action for one in stats)
    count = max(len(qpos.low), len(action.low))
    named = next((one for one in stats if one.joint_names), stats[0])
    names = [_name(named, i) for i in range(count)]
    width = max(map(len, names))
    lines = []
    for i, name in enumerate(names):
        parts = [
            f"{what} {part.low[i]:8.3g} to {part.high[i]:8.3g}"
            for what, part in (("qpos", qpos), ("action", action))
            if i < len(part.low)
        ]
        lines.append(f"  {name:{width}}  {', '.join(parts)}")
    return lines
