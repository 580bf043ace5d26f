"""Texts that are no contracts, or contracts that no robot has: refused by name, or usable to the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support import fuzz
from support.paths import ROOT

from vgil_ros.core.contract import parse_contract
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.streams import streams_of

SHORT = 100
SHIPPED = sorted((ROOT / "config" / "robots").glob("*.yaml"))
SNIPPETS = [
    "&a [*a]", "*nothing", "!!int ''", "!!bool x", "2001-99-99", "!!binary '\\xff'", "!!python/object:os.system x",
    "[" * 3000, "{a: " * 2000, "- " * 500, "9" * 5000, "0x" + "f" * 6000, "1e999", ".nan", "-.inf", "~", "!!set {a}",
    "<<: *a", "? [1]\n: 2", "%YAML 9.9", "---\nb: 1", "\t", "\x07", "\ufeff", "|\n  text", "!!omap [a: 1]", "'",
    "&b {<<: *b}", "190:20:30", "1_000", "0b2", "=", "!!timestamp 2001-01-01t99:99:99", "!!str", "!<tag:x> y",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 1e-9, 1e300, -1e300, float("nan"), float("inf"), 10**400, "", "\n", "a\nb", " ", "x" * 10_000,
    "\x1b[31m", "é", [], {}, [[]], [None], {"a": {}}, ["a"] * 500, [0.0] * 500, list(range(70)), "/", "//", "/a b",
    "../../etc/passwd", 5e-324, 1 << 70, [1e-320, 0], [0, 5e-324], "clock", "camera:", "base", 1e6, 1000, 0.1,
]  # fmt: skip


def try_contract(text: str) -> None:
    """Read a contract, and make of it what recorder and policy make."""
    contract = parse_contract(text, "mine.yaml")
    with np.errstate(all="raise", under="ignore"):
        layout = Layout(contract)
        names = layout.joint_names[: layout.joints]
        velocity = layout.limit("velocity")
        assert velocity is not None
        JointLimits.of(layout.lower, layout.upper, velocity, layout.limit("acceleration"), names)
        assert np.isfinite(layout.home).all()
        layout.commands(layout.home)
        layout.state([np.zeros((3, len(arm.arm.joints))) for arm in layout.arms])
    assert contract.period_ns > 0
    assert len({stream.name for stream in streams_of(contract)}) == len(streams_of(contract))


def broken(count: int) -> Iterator[tuple[str, str]]:
    """The shipped contracts with characters changed, hostile pieces put in, or values of another kind."""
    texts = [path.read_text() for path in SHIPPED]
    for seed in range(count):
        rng = np.random.RandomState(seed)
        text = texts[seed % len(texts)]
        way = rng.randint(3)
        if way == 0:
            text = fuzz.flipped(text.encode(), rng).decode("utf-8", "surrogateescape")
        elif way == 1:
            at = rng.choice([i for i, letter in enumerate(text) if letter in " \n:"])
            text = text[: at + 1] + SNIPPETS[rng.randint(len(SNIPPETS))] + text[at + 1 :]
        else:
            values = yaml.safe_load(text)
            for _ in range(rng.randint(1, 4)):
                _replace(values, rng)
            text = yaml.safe_dump(values, allow_unicode=bool(rng.randint(2)))
        yield f"{SHIPPED[seed % len(texts)].name} seed {seed}", text


def _replace(values: Any, rng: np.random.RandomState) -> None:
    """Put another value somewhere below, take one away, or add one."""
    keys = list(values) if isinstance(values, dict) else list(range(len(values))) if isinstance(values, list) else []
    if not keys:
        return
    key = keys[rng.randint(len(keys))]
    if isinstance(values[key], (dict, list)) and rng.randint(4):
        _replace(values[key], rng)
    elif rng.randint(8) == 0:
        del values[key]
    elif rng.randint(8) == 0 and isinstance(values, dict):
        values[("odd", "", "joints", "<<")[rng.randint(4)]] = VALUES[rng.randint(len(VALUES))]
    else:
        values[key] = VALUES[rng.randint(len(VALUES))]


def test_some_broken_contracts(tmp_path: Path) -> None:
    assert not fuzz.failures(fuzz.run(try_contract, broken(SHORT), folder=tmp_path))


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_a_thousand_broken_contracts(tmp_path: Path) -> None:
    outcomes = fuzz.run(try_contract, broken(1000), folder=tmp_path)
    print(f"\ncontracts: {fuzz.summary(outcomes)}")
    assert not fuzz.failures(outcomes)
