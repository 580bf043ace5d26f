"""Choosing episodes by a sentence: `success and length > 200 and not tag:bad`.

The grammar is Python's for names, comparisons, `and`, `or`, `not`, `in` and parentheses, and nothing else of Python.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.labels import WORDS, tags_of, verdict_of
from vgil_ros.episodes.errors import naming_file
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.reading.glance import Glance, glance

Facts = Mapping[str, Any]
NAMES = (
    "success", "failure", "unsure", "labelled", "aborted", "length", "seconds", "rate_hz", "number", "file", "robot",
    "layout", "created", "cameras", "held", "warnings", *WORDS,
)  # fmt: skip
GLANCED = ("created",)  # beside what a list shows
TAG = re.compile(r"\btag:([A-Za-z0-9_-]+)")
LONGEST, DEEPEST = 2000, 40
ALLOWED = (
    f"allowed: {', '.join(NAMES)}, tag:NAME, numbers, 'text', == != < <= > >= in, and, or, not, parentheses, whose two"
    " sides can be compared"
)
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def facts_of(path: Path, seen: Glance | None = None) -> dict[str, Any]:
    """What a sentence may speak of, of one episode.

    Args:
        path: the file.
        seen: a glance at it with `GLANCED`, where there was one.

    Raises:
        EpisodeError: where it cannot be read.
    """
    seen = seen or glance(path, GLANCED)
    if seen is not None:
        return _facts(path, seen.attrs, "vgil", seen.rows, seen.cameras)
    with naming_file(path), EpisodeReader(path) as episode:
        cameras = episode.camera_names + episode.depth_names
        return _facts(path, episode.attrs, episode.layout, episode.rows, cameras)


def _facts(path: Path, attrs: Facts, layout: str, rows: int, cameras: tuple[str, ...]) -> dict[str, Any]:
    """The facts of an episode of these attributes."""
    verdict = verdict_of(attrs, attrs.get("success"))
    rate, number = attrs.get("rate_hz"), naming.number_of(path)
    facts: dict[str, Any] = {key: str(attrs.get(key, "")) for key in (*WORDS, *GLANCED)}
    return facts | {
        "success": verdict == "success",
        "failure": verdict == "failure",
        "unsure": verdict == "unsure",
        "labelled": verdict is not None,
        "aborted": "aborted" in attrs,
        "length": rows,
        "seconds": rows / rate if rate else float("nan"),
        "rate_hz": rate if rate is not None else float("nan"),
        "number": number if number is not None else -1,
        "file": path.name,
        "robot": attrs.get("robot") or "",
        "layout": layout,
        "cameras": list(cameras),
        "held": int(attrs.get("rows_held", 0)),
        "warnings": len(np.atleast_1d(attrs.get("warnings", ()))),
        "tags": tags_of(attrs),
    }


class Where:
    """A sentence, read once.

    Args:
        text: the sentence.

    Raises:
        VgilError: where it is none; with what is allowed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise VgilError(f"--where has {len(text)} letters; allowed: up to {LONGEST}")
        try:
            tree = ast.parse(TAG.sub(r"tag('\1')", text).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise VgilError(f"--where {text[:200]!r} cannot be read; {ALLOWED}") from error
        if fault := _fault(tree, 0):
            raise VgilError(f"--where {text[:200]!r} {fault}; {ALLOWED}")
        self._tree = tree

    def matches(self, facts: Facts) -> bool:
        """Whether the sentence holds of an episode.

        Raises:
            VgilError: where it compares what cannot be compared.
        """
        try:
            return bool(self._value(self._tree, facts))
        except TypeError as error:
            raise VgilError(f"--where {self.text[:200]!r} compares what cannot be compared; {ALLOWED}") from error

    def _value(self, node: ast.AST, facts: Facts) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return facts[node.id]
        if isinstance(node, ast.Call):
            [word] = node.args
            return isinstance(word, ast.Constant) and word.value in facts["tags"]
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, facts)
            return not value if isinstance(node.op, ast.Not) else -value
        if isinstance(node, ast.BoolOp):
            values = (bool(self._value(part, facts)) for part in node.values)
            return all(values) if isinstance(node.op, ast.And) else any(values)
        assert isinstance(node, ast.Compare)  # checked when it was read
        left = self._value(node.left, facts)
        for op, part in zip(node.ops, node.comparators, strict=True):
            right = self._value(part, facts)
            if not COMPARISONS[type(op)](left, right):
                return False
            left = right
        return True


def _fault(node: ast.AST, depth: int) -> str | None:
    """What a sentence has that is not of the grammar, in words."""
    if depth > DEEPEST:
        return f"is more than {DEEPEST} deep"
    if isinstance(node, ast.Name) and node.id not in NAMES:
        return f"speaks of {node.id!r}"
    if isinstance(node, ast.Constant):
        return None if isinstance(node.value, (bool, int, float, str)) else f"has {node.value!r}"
    if isinstance(node, ast.Call):
        return None if _asks_for_a_tag(node) else "calls something"
    if not isinstance(node, (ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Name)):
        return f"has something else in it ({type(node).__name__})"
    if isinstance(node, ast.UnaryOp) and not isinstance(node.op, (ast.Not, ast.USub)):
        return "has a sign in it that is none of these"
    if isinstance(node, ast.Compare) and any(type(op) not in COMPARISONS for op in node.ops):
        return "has a comparison in it that is none of these"
    inner = (part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr))
    return next(filter(None, (_fault(part, depth + 1) for part in inner)), None)


def _asks_for_a_tag(node: ast.Call) -> bool:
    named = isinstance(node.func, ast.Name) and node.func.id == "tag" and not node.keywords
    return named and len(node.args) == 1 and isinstance(node.args[0], ast.Constant)
