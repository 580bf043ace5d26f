"""Trial's session: blinded, every policy once a block, stopped by the test, and nothing lost by an interruption."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.evaluation.made_trials import ORDER, attempted, by_chance, plan_of

from vgil_ros.evaluation.trials.plan import HiddenOrder, letters
from vgil_ros.evaluation.trials.session import REPEATED, TrialEffect, TrialSession, TrialState

PREPARE, START, STOP = TrialEffect.PREPARE, TrialEffect.START, TrialEffect.STOP
WRITE, FINISH = TrialEffect.WRITE, TrialEffect.FINISH


@given(st.integers(0, 2**63), st.integers(0, 500), st.integers(2, 8))
def test_every_block_has_each_policy_once(seed: int, block: int, contenders: int) -> None:
    order = HiddenOrder(seed=seed, salt="")
    assert sorted(order.block(block, contenders)) == list(range(contenders))
    assert order.block(block, contenders) == order.block(block, contenders), "and follows from the seed"


def test_the_order_is_a_fair_one() -> None:
    first = [HiddenOrder(seed=seed, salt="").block(3, 2)[0] for seed in range(400)]
    assert 160 <= sum(first) <= 240


@given(st.integers(0, 100), st.integers(2, 8))
def test_letters_are_other_ones_in_the_next_block(block: int, contenders: int) -> None:
    now, then = letters(block, contenders), letters(block + 1, contenders)
    assert len(set(now)) == contenders
    assert not set(now) & set(then)


def test_an_attempt_goes_from_its_preparation_to_its_label() -> None:
    session = TrialSession(plan_of(), ORDER)
    assert session.begin() == (PREPARE,)
    assert session.start() == (), "not before the policy is there"
    session.prepared()
    assert session.state is TrialState.READY
    assert session.key(" ") == (START,)
    assert session.ended("the episode ends: a joint does not follow") == ()
    assert session.state is TrialState.JUDGING
    assert session.key("n") == (WRITE, PREPARE)
    assert session.record is not None
    assert (session.record.block, session.record.place, session.record.verdict) == (0, 0, "failure")
    assert "does not follow" in session.record.note
    assert session.attempt.place == 1


def test_a_label_ends_a_running_attempt() -> None:
    session = TrialSession(plan_of(), ORDER)
    session.prepared()
    session.start()
    assert session.key("y") == (STOP,)
    assert session.key("n") == (), "one label is enough"
    assert session.ended() == (WRITE, PREPARE)
    assert session.records[-1].verdict == "success"


@pytest.mark.parametrize("first", ["y", "s", "q"])
def test_what_was_told_to_stop_and_moves_yet_is_told_again(first: str) -> None:
    session = TrialSession(plan_of(), ORDER)
    session.prepared()
    session.start()
    assert session.key(first) == (STOP,)
    assert session.key("s") == (STOP,)
    assert session.state is TrialState.ENDING
    assert session.quit() == (STOP,), "as by Ctrl-C"
    assert session.quit() == (STOP,)
    assert session.state is TrialState.ENDING
    assert session.ended() == (WRITE, FINISH)
    assert session.records[-1].verdict == ("success" if first == "y" else REPEATED)


def test_a_refused_start_can_be_tried_again() -> None:
    session = TrialSession(plan_of(), ORDER)
    session.prepared()
    session.start()
    session.refused()
    assert session.key(" ") == (START,)


def test_a_repeated_attempt_is_the_same_one_and_is_kept() -> None:
    session = TrialSession(plan_of(), ORDER)
    before = session.attempt
    assert attempted(session, "r") == (WRITE, PREPARE)
    assert session.attempt == before
    assert [record.verdict for record in session.records] == [REPEATED]
    assert session.counted == []


def test_a_topic_labels_and_the_simulated_robot_resets_by_itself() -> None:
    session = TrialSession(plan_of(label="topic", reset="sim", max_blocks=1), ORDER)
    assert session.prepared() == (START,)
    assert session.key("y") == (), "nobody else labels"
    assert session.ended(topic=True) == (WRITE, PREPARE)
    session.prepared()
    assert session.ended(topic=None) == (WRITE, FINISH)
    assert [record.verdict for record in session.records] == ["success", "unsure"]
    assert session.reason == "max"


@pytest.mark.parametrize("at", ["preparing", "ready", "running", "judging"])
def test_what_is_interrupted_is_made_again(at: str) -> None:
    session = TrialSession(plan_of(), ORDER)
    attempted(session, "y")
    if at != "preparing":
        session.prepared()
    if at in ("running", "judging"):
        session.start()
    if at == "judging":
        session.ended()
    effects = session.quit()
    if at == "running":
        assert effects == (STOP,)
        effects = session.ended()
    assert effects[-1] is FINISH
    assert (session.state, session.reason) == (TrialState.DONE, "quit")
    again = TrialSession(plan_of(), ORDER, session.records)
    assert again.begin() == (PREPARE,)
    assert (again.attempt.block, again.attempt.place) == (0, 1)


def test_nothing_that_is_said_tells_who_is_at_work() -> None:
    words = []
    for seed in (1, 2, 3, 4):
        order = HiddenOrder(seed=seed, salt="")
        session = TrialSession(plan_of(order=order), order)
        said = [session.words()]
        for key in "ynnyu":
            attempted(session, key)
            said.append(session.words())
        words.append(said)
    assert words[0] == words[1] == words[2] == words[3]
    assert "policy_" not in str(words)


def test_seven_to_nothing_end_a_trial_of_two() -> None:
    session = by_chance((1.0, 0.0), np.random.default_rng(0))
    assert (session.reason, len(session.counted)) == ("decided", 14)
    three = by_chance((1.0, 0.0, 0.0), np.random.default_rng(0), max_blocks=30)
    assert (three.reason, len(three.counted)) == ("max", 90), "two of the three are equal"


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_session_gone_on_with_at_any_place_ends_the_same(seed: int, one: float, other: float) -> None:
    order = HiddenOrder(seed=seed, salt="")
    plan, random = plan_of(order=order, max_blocks=6), np.random.default_rng(seed)
    session = TrialSession(plan, order)
    while session.state is not TrialState.DONE:
        attempted(session, "yn"[int(random.random() < (one, other)[session.attempt.contender])])
        session = TrialSession(plan, order, session.records)
    assert TrialSession(plan, order, session.records).reason == session.reason
    assert session.begin() == (FINISH,)


def test_equal_policies_are_told_apart_in_less_than_five_of_a_hundred_sessions() -> None:
    """The small version of bench_trials.py: as it is on a robot, looked at after every block."""
    random = np.random.default_rng(3)
    wrong = sum(by_chance((0.5, 0.5), random, max_blocks=30).reason == "decided" for _ in range(300))
    assert 0 < wrong <= 0.05 * 300
    found = sum(by_chance((0.9, 0.3), random, max_blocks=40).reason == "decided" for _ in range(40))
    assert found >= 36


def test_a_plan_that_is_none_is_refused() -> None:
    for changes in ({"alpha": 0.0}, {"max_blocks": 0}, {"label": "nobody"}, {"reset": "hope"}):
        with pytest.raises(ValidationError):
            plan_of(**changes)
    with pytest.raises(ValidationError):
        plan_of(1)
