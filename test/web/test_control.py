"""Control: one operator at a time, lost by silence, never held by one who only looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.web.access.control import LOST_LEADING_S, LOST_S, Control
from vgil_ros.web.access.visitors import Role, Visitor

ANNA, BEN = (Visitor(name, Role.OPERATE, name) for name in ("anna", "ben"))
GUEST = Visitor("guest", Role.LOOK, "guest")


def test_the_first_who_acts_has_control_and_the_second_is_told_who() -> None:
    control = Control()
    assert control.take(ANNA, 0.0) is None
    why = control.take(BEN, 1.0)
    assert why is not None
    assert "anna has control" in why
    assert control.holder(1.0) == ANNA


def test_who_looks_on_never_has_control() -> None:
    control = Control()
    why = control.take(GUEST, 0.0)
    assert why is not None
    assert "looks on only" in why
    assert control.holder(0.0) is None


def test_control_can_be_given_up_by_its_holder_alone() -> None:
    control = Control()
    control.take(ANNA, 0.0)
    control.give(BEN)
    assert control.holder(0.0) == ANNA
    control.give(ANNA)
    assert control.take(BEN, 0.0) is None


def test_a_silent_page_loses_control_and_sooner_while_it_leads() -> None:
    control = Control()
    control.take(ANNA, 0.0)
    assert control.holder(LOST_S) == ANNA
    assert control.holder(LOST_S + 0.1) is None
    control.take(ANNA, 20.0, leading=True)
    assert control.leading(20.0 + LOST_LEADING_S) == ANNA
    assert control.leading(20.1 + LOST_LEADING_S) is None
    assert control.take(BEN, 20.2 + LOST_LEADING_S) is None


def test_a_page_that_is_heard_keeps_control_as_it_had_it() -> None:
    control = Control()
    control.take(ANNA, 0.0, leading=True)
    for second in range(1, 30):
        control.heard(ANNA, float(second))
        control.heard(BEN, float(second))
    assert control.leading(30.0) == ANNA
    control.take(ANNA, 30.0, leading=False)
    assert control.leading(30.0) is None
    assert control.holder(30.0) == ANNA


@given(
    st.lists(
        st.tuples(
            st.sampled_from((ANNA, BEN, GUEST)), st.sampled_from(("take", "lead", "give", "heard")), st.floats(0.0, 6.0)
        ),
        max_size=40,
    )
)
def test_whoever_may_act_is_the_holder(events: list[tuple[Visitor, str, float]]) -> None:
    """At no time two may act; who may not is told why."""
    control, now = Control(), 0.0
    for visitor, what, passed in events:
        now += passed
        if what == "give":
            control.give(visitor)
        elif what == "heard":
            control.heard(visitor, now)
        else:
            refused = control.take(visitor, now, leading=what == "lead" or None)
            assert (refused is None) == (control.holder(now) == visitor)
        holder = control.holder(now)
        may = [one for one in (ANNA, BEN, GUEST) if control.hindrance(one, now) is None]
        assert may == ([holder] if holder is not None else [ANNA, BEN])
