"""Trials without a robot: plans, and sessions whose attempts succeed by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vgil_ros.evaluation.trials.folder import write_hidden
from vgil_ros.evaluation.trials.journal import Journal
from vgil_ros.evaluation.trials.plan import Contender, HiddenOrder, TrialPlan, contenders_of
from vgil_ros.evaluation.trials.session import TrialEffect, TrialSession, TrialState

ORDER = HiddenOrder(seed=7, salt="salt")


def plan_of(count: int = 2, *, order: HiddenOrder = ORDER, **changes: object) -> TrialPlan:
    """A plan of so many contenders that are nowhere."""
    given = tuple(Contender(source=f"ws://policy_{i}:1") for i in range(count))
    values = {"robot": "sim_single", "max_blocks": 20, "alpha": 0.05, "contenders": given, **changes}
    return TrialPlan(**values, commitment=order.commitment)


def attempted(session: TrialSession, key: str) -> tuple[TrialEffect, ...]:
    """One attempt of a session with an operator, from its preparation to its label; what follows."""
    session.prepared()
    assert session.start() == (TrialEffect.START,)
    assert session.ended() == ()
    return session.key(key)


def by_chance(rates: Sequence[float], random: np.random.Generator, **changes: object) -> TrialSession:
    """A whole session of policies with these success rates."""
    order = HiddenOrder.draw(int(random.integers(1 << 40)))
    session = TrialSession(plan_of(len(rates), order=order, **changes), order)
    while session.state is not TrialState.DONE:
        done = random.random() < rates[session.attempt.contender]
        attempted(session, "y" if done else "n")
    return session


def write_trial(folder: Path, results: Sequence[Sequence[bool]], **changes: object) -> Path:
    """A trial's folder whose blocks ended so: of each block, whether each of two contenders succeeded."""
    sources = []
    for name in ("good", "bad"):
        source = folder / name
        source.mkdir(parents=True)
        (source / "policy.json").write_text(f'{{"name": "{name}"}}')
        sources.append(source)
    plan = plan_of(max_blocks=len(results), **changes).model_copy(update={"contenders": contenders_of(sources)})
    out = folder / "trial"
    with Journal(out) as journal:
        write_hidden(out, ORDER)
        journal.write("plan", plan.model_dump(mode="json"))
        session = TrialSession(plan, ORDER)
        while session.state is not TrialState.DONE:
            attempt = session.attempt
            attempted(session, "y" if results[attempt.block][attempt.contender] else "n")
            assert session.record is not None
            journal.write("attempt", asdict(session.record))
        journal.write("end", {"reason": session.reason})
    return out
