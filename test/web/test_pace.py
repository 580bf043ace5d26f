"""What a browser is shown waits for it, and what it asks for late is not done."""

from __future__ import annotations

import itertools

from vgil_ros.web.parts.pace import BEHIND_S, CUT_OFF_S, SELDOM_S, Pace


def test_a_browser_is_behind_while_an_answer_is_due() -> None:
    pace = Pace(0.0)
    assert not pace.behind(0.0)
    first = pace.asked(0.0)
    assert not pace.behind(BEHIND_S)
    second = pace.asked(BEHIND_S)
    assert pace.behind(BEHIND_S + 0.1)
    pace.answered(first)
    assert not pace.behind(BEHIND_S + 0.1), "the second is young yet"
    assert pace.behind(2 * BEHIND_S + 0.1)
    pace.gave_up(second)
    pace.gave_up(second)
    assert (pace.open, pace.behind(100.0)) == (0, False)


def test_an_answer_stands_for_those_that_were_lost_before_it() -> None:
    pace = Pace(0.0)
    pace.asked(0.0)
    pace.asked(0.5)
    pace.answered(pace.asked(1.0))
    assert (pace.open, pace.behind(1.6)) == (0, False)


def test_a_line_that_is_always_late_is_shown_something_now_and_then() -> None:
    pace, shown, late = Pace(0.0), [0.0], 3.0
    asked: dict[int, float] = {}
    for turn in range(200):
        now = turn * 0.1
        if turn % 5 == 0:
            asked[pace.asked(now)] = now
        for number in [one for one, then in asked.items() if now - then >= late]:
            del asked[number]
            pace.answered(number)
        if turn > 50 and pace.may_show(now, shown[-1]):
            shown.append(now)
        assert turn < 50 or pace.cut_off(now) is None, "it is slow, not gone"
    gaps = [after - before for before, after in itertools.pairwise(shown[1:])]
    assert len(gaps) > 5
    assert max(gaps) < SELDOM_S + 0.15


def test_what_was_cut_off_is_told_for_how_long() -> None:
    pace = Pace(10.0)
    assert pace.cut_off(10.0 + CUT_OFF_S) is None
    assert pace.cut_off(10.1 + CUT_OFF_S) is not None
    pace.joined(16.0)
    assert pace.cut_off(16.0 + CUT_OFF_S) is None, "it took long to load"
    pace.joined(30.0)
    assert pace.cut_off(30.0) == 14.0, "it was here before"
    number = pace.asked(40.0)
    pace.answered(number)
    pace.answered(number)
    assert pace.cut_off(40.0 + CUT_OFF_S) is None
    assert pace.cut_off(60.0) == 20.0, "an answer that was long on its way says nothing of now"
