"""Each error and warning of the code explains itself, or has an entry in docs/troubleshooting.md."""

from __future__ import annotations

from pathlib import Path

import messages
import pytest

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = """
class Node:
    def take(self, name: str, count: int) -> None:
        if count > 3:
            raise VgilError(f"{name}: has gone")
        words = "is slow" if count else "is late"
        self.warn_once(name, words)
        self.log(f"{name} limps", severity="warning")
        self.get_logger().error("it " f"fell {count} times")
        self.get_logger().info("all is well")
        yield Finding("error", "check", name, f"lacks {count}")
        yield Finding("info", "check", name, "is nice")
        raise StopIteration("no message")
"""


def test_every_message_explains_itself_or_is_explained() -> None:
    left = [f"{one.where} [{one.kind}] {one.text}" for one in messages.unexplained()]
    assert not left, "say what is allowed or to be done, or add an entry to docs/troubleshooting.md:\n" + "\n".join(
        left
    )


def test_every_entry_is_about_a_message() -> None:
    said = messages.collect()
    dead = [entry for entry in messages.entries() if not any(messages.covers(entry, one.text) for one in said)]
    assert not dead, "nothing in the code says this any more"


def test_no_entry_covers_everything() -> None:
    """An entry of placeholders alone would let any message pass."""
    for entry in messages.entries():
        assert not messages.covers(entry, "the robot is unhappy"), entry
        assert not messages.covers(entry, "left: unhappy with joint 3"), entry


def test_the_collector_sees_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample.py").write_text(SAMPLE)
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    assert sorted(one.text for one in messages.collect(tmp_path)) == [
        "is late",
        "is slow",
        "it fell … times",
        "lacks …",
        "… limps",
        "…: has gone",
    ]


@pytest.mark.parametrize(
    ("text", "explains"),
    [
        ("workers is …; allowed: from 1", True),
        ("…: holds a run already; go on with `vgil train --resume …`, or take another --out", True),
        ("…: has … rows; most datasets have …", True),
        ("…: no such file", True),
        ("nobody listens on …", False),
        ("frames go back in time", False),
        ("holding: …", False),
    ],
)
def test_what_explains_itself(text: str, explains: bool) -> None:
    assert messages.explains_itself(text) == explains


def test_messages_are_many() -> None:
    assert len(messages.collect()) > 400
