"""Collector of every error and warning that the package can print, for docs/troubleshooting.md.

    python scripts/messages.py           lists those that neither explain themselves nor have an entry

A message explains itself where it says what is allowed or needed or to be done, puts what was found beside what should
have been, or names a file and its fault (the four rules below). An entry of the page is a line that begins with
**`...`**; `…` in it stands for whatever the code fills in.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
FILLED = "…"  # stands for what an f-string fills in
LOGGED = ("warning", "error", "fatal")
# Calls whose arguments make a message, and which of these it is.
MAKERS = {"Hold": 0, "Changed": 1, "Problem": 1, "SafetyEvent": 1, "Fault": 2, "_passing": 1, "_refuse": 1, "append": 0}
# Functions that return what is wrong.
REASONS = {
    "core/graph/controller_joints.py",
    "core/guard/reading_guard.py",
    "core/safety/stale.py",
    "core/sync/types.py",
    "episodes/raw_log/log_file.py",
    "episodes/writing/rows.py",
    "nodes/dds/profile.py",
    "nodes/messages/array_order.py",
    "nodes/messages/command_places.py",
    "policies/normalizer.py",
    "robots/jog/jogger.py",
    "robots/webcam/finding.py",
    "robots/webcam/frame_gate.py",
}
# Errors that a program meets, not a person: of Python's own protocols.
PROTOCOL = {"AttributeError", "NotImplementedError", "KeyError", "StopIteration", "Exit", "Unknown"}

# A message explains itself where it says what is allowed or needed,
RIGHT = re.compile(
    r"allowed|expected|\bmust\b|\bneeds?\b|\bneeded\b|\bwanted\b|\btakes \w|the contract says"
    r"|can make:"
    r"|not supported|only .* (?:is|are) (?:supported|read)|only alike|usual: up to|in all episodes|begin with"
)
# or what to do,
REMEDY = re.compile(
    r"`vgil [^`]+`|pip install|apt-get install|\bgive\b|\btake '?\w+|go on with|\bgoes on|\b[Mm]end\b|\btry a|leave"
    r"|train without|\bfetch\b|choose|release it with|start anew|compare `|disable|make a new one|name (?:them|the)"
    r"|say it \(|stop the recorder first|remove (?:them|it) by hand|fill them in|load a checkpoint|is called '…' now"
    r"|write the value"
)
# or puts what was found beside what it should have been,
BESIDE = re.compile(
    r"(?:missing|lacks|no camera|not in|no '…').*found …|is doubled|not divisible by …|not a multiple of …"
    r"|more than (?:the )?\S*…|larger than|is below …|is not below|is even|twice|more than once|is missing$"
    r"|(?:is|are|has|have|gives|holds|names|of|at|to) …[^…]*[;,] [^…]*…"
    r"|(?:is|are|for|by|of) …, (?:as|not|which|named|at|it)|… names for …|… values of … for …|unknown keys"
    r"|exists and is"
)
# or names a file and says why it cannot be used.
FILE = re.compile(
    r"no such (?:file|folder)|does not exist|cannot be (?:read|written|loaded|started|made|used)|could not be"
    r"|may not be written|is there already|not overwritten|no episode|no YAML|not YAML|readable as|is no report"
    r"|holds no|was not found|already closed|is empty|empty \(0 bytes\)|nothing to recover|…: lacks …|not laid out"
)


@dataclass(frozen=True)
class Message:
    """A message of the code: `text` with `…` for what is filled in, and the place that makes it."""

    where: str
    kind: str
    text: str


def explains_itself(text: str) -> bool:
    """Whether a message says what would be right or what to do, compares, or names a file and its fault."""
    return any(rule.search(text) for rule in (RIGHT, REMEDY, BESIDE, FILE))


def texts(node: ast.expr, local: dict[str, list[str]]) -> list[str]:
    """What an expression may say: more than one text where it chooses."""
    if isinstance(node, ast.Constant):
        return [node.value if isinstance(node.value, str) else FILLED]
    if isinstance(node, ast.JoinedStr):
        return ["".join(v.value if isinstance(v, ast.Constant) else FILLED for v in node.values)]  # type: ignore[misc]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [a + b for a in texts(node.left, local) for b in texts(node.right, local)]
    if isinstance(node, ast.IfExp):
        return texts(node.body, local) + texts(node.orelse, local)
    if isinstance(node, ast.Name) and node.id in local:
        return local[node.id]
    return [FILLED]


def _assigned(function: ast.AST) -> dict[str, list[str]]:
    """Texts that names of a function stand for somewhere in it."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            said = [text for text in texts(node.value, {}) if text.strip(FILLED)]
            found.setdefault(node.targets[0].id, []).extend(said)
    return {name: said for name, said in found.items() if said}


def _spoken(node: ast.AST) -> tuple[str, list[ast.expr]] | None:
    """(kind, arguments that make the message) where a node makes one."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        kind = ast.unparse(node.exc.func).rpartition(".")[2]
        return None if kind in PROTOCOL or not node.exc.args else (kind, node.exc.args)
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func).rpartition(".")[2]
    if name == "warn_once" and len(node.args) > 1:
        return name, node.args[1:2]
    if name == "warn_about" and len(node.args) > 2:
        return name, node.args[2:3]
    if name in LOGGED and node.args:
        return name, node.args[:1]
    if name == "log" and any(k.arg == "severity" for k in node.keywords):
        return name, node.args[:1]
    if name == "Reply" and len(node.args) > 1 and ast.unparse(node.args[0]) == "False":
        return name, node.args[1:2]
    if name == "Finding" and ast.unparse(node.args[0]).strip("'") in ("error", "warning"):
        return name, node.args[3:4]
    if name == "append" and ast.unparse(node.func) not in ("messages.append", "words.append", "faults.append"):
        return None
    if name in MAKERS and len(node.args) > MAKERS[name]:
        return name, node.args[MAKERS[name] : MAKERS[name] + 1]
    return None


def messages_of(path: Path) -> Iterator[Message]:
    """The messages of one file; those that only hand on another's text are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    returns = any(str(path).endswith(f"vgil_ros/{name}") for name in REASONS)
    for function in functions:
        local = _assigned(function)
        for node in ast.walk(function):
            spoken = _spoken(node)
            if spoken is None and returns and isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
                spoken = "returned", [node.value]
            if spoken is None:
                continue
            kind, arguments = spoken
            said = [""]
            for argument in arguments:
                said = [f"{a} {b}".strip() for a in said for b in texts(argument, local)]
            for text in said:
                if re.search(r"[A-Za-z]{2}", text):
                    yield Message(f"{path.relative_to(ROOT)}:{node.lineno}", kind, text)  # type: ignore[attr-defined]


def collect(package: Path = ROOT / "vgil_ros") -> list[Message]:
    """Every message of the package, once each."""
    found = [message for path in sorted(package.rglob("*.py")) for message in messages_of(path)]
    return list(dict.fromkeys(found))


def entries(page: Path = PAGE) -> list[str]:
    """The messages that the page explains."""
    return re.findall(r"^\*\*`(.+?)`\*\*", page.read_text(encoding="utf-8"), re.MULTILINE)


def covers(entry: str, text: str) -> bool:
    """Whether an entry is about a message."""
    pattern = ".*".join(re.escape(part) for part in entry.split(FILLED))
    return re.fullmatch(pattern, " ".join(text.split()), re.DOTALL) is not None


def unexplained() -> list[Message]:
    """Messages that say neither what is right nor what to do, and have no entry."""
    known = entries()
    return [one for one in collect() if not explains_itself(one.text) and not any(covers(e, one.text) for e in known)]


if __name__ == "__main__":
    left = unexplained()
    for message in left:
        print(f"{message.where} [{message.kind}] {message.text}")
    sys.exit(1 if left else 0)
