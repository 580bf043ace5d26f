"""Instructions that come while a policy runs: what is taken, and what is refused in words."""

from __future__ import annotations

import pytest

from vgil_ros.core.control.policy_input import checked_task
from vgil_ros.core.errors import VgilError


def test_blanks_are_one_and_the_rest_is_as_given() -> None:
    assert checked_task("  stack the\n red  cube ", needed=True) == "stack the red cube"
    assert checked_task("räum auf, 3×", needed=False) == "räum auf, 3×"
    assert checked_task(" ", needed=False) == ""


@pytest.mark.parametrize(
    ("text", "needed", "words"),
    [
        ("", True, "task '' is refused; allowed: a text of up to 1000 letters, not empty, as the policy needs one"),
        ("x" * 2000, False, "2000 letters is refused; allowed: a text of up to 1000 letters, or empty"),
        ("a\x00b", False, r"task 'a\x00b' is refused; allowed"),
    ],
)
def test_others_are_refused(text: str, needed: bool, words: str) -> None:
    with pytest.raises(VgilError) as caught:
        checked_task(text, needed=needed)
    assert words in str(caught.value)
