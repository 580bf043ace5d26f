"""One strict loader: whatever is configured, the same fault is told in the same words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vgil_ros.assets import load_contract, share_dir
from vgil_ros.core.config import StrictModel, load_json, load_yaml, validate
from vgil_ros.core.errors import ContractError, VgilError

ROBOTS, POLICIES = "config/robots/sim_single.yaml", "config/policies/act.yaml"


def read_contract(path: Path) -> object:
    return load_contract(str(path))


def read_training(path: Path) -> object:
    from vgil_ros.training.config import load_config

    return load_config(path, [])


def read_policy(path: Path) -> object:
    from vgil_ros.policies.checkpoint import read_config

    return read_config(path.parent)


def contract_values() -> dict[str, Any]:
    return load_yaml(share_dir() / ROBOTS)


def training_values() -> dict[str, Any]:
    return {**load_yaml(share_dir() / POLICIES), "data": {"folders": "a"}, "out": "b"}


def policy_values() -> dict[str, Any]:
    sizes = {"state_dim": 7, "action_dim": 7, "chunk_size": 20, "cameras": [{"name": "high"}]}
    return {"type": "act", **sizes, "normalization": {"qpos": {"mode": "mean_std"}}}


# read, good values, file, key within, its keys, a number's key
CALLERS = {
    "contract": (read_contract, contract_values, "mine.yaml", "sync", "['method', 'tolerance_ms'", "rate_hz"),
    "training": (read_training, training_values, "mine.yaml", "optimizer", "['lr', 'backbone_lr'", "steps"),
    "policy": (read_policy, policy_values, "policy.json", "normalization", "['qpos', 'action'", "chunk_size"),
}
Caller = tuple[Callable[[Path], object], dict[str, Any], Path, str, str, str]


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, tmp_path: Path) -> Caller:
    if request.param != "contract":
        pytest.importorskip("torch")
    read, good, file, *keys = CALLERS[request.param]
    return read, good(), tmp_path / file, *keys


def written(values: dict[str, Any], path: Path) -> Path:
    path.write_text(json.dumps(values) if path.suffix == ".json" else yaml.safe_dump(values))
    return path


def refused(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(VgilError) as error:
        read(path)
    return str(error.value)


def test_good_values_are_read(caller: Caller) -> None:
    read, values, path, *_ = caller
    assert read(written(values, path)) is not None


def test_a_doubled_key_is_refused(caller: Caller) -> None:
    read, values, path, _, _, number = caller
    text = written(values, path).read_text()
    pair = f'"{number}": 1, ' if path.suffix == ".json" else f"{number}: 1\n"
    path.write_text(text.replace("{", "{" + pair, 1) if path.suffix == ".json" else pair + text)
    message = refused(read, path)
    kind = path.suffix.removeprefix(".").upper()
    assert f"{path.name}: not readable as {kind}: key '{number}' is doubled" in message


def test_an_unknown_key_is_told_beside_the_allowed_ones(caller: Caller) -> None:
    read, values, path, within, allowed, _ = caller
    values.setdefault(within, {})["surprise"] = 1
    message = refused(read, written(values, path))
    assert f"{path.name}: {within}.surprise: unknown key; allowed: {allowed}" in message


def test_a_wrong_type_is_told_with_what_was_found(caller: Caller) -> None:
    read, values, path, _, _, number = caller
    values[number] = "many"
    message = refused(read, written(values, path))
    assert f"{path.name}: {number}: found 'many'; allowed: a valid " in message


def test_every_fault_has_a_line(caller: Caller) -> None:
    read, values, path, within, _, number = caller
    values[number], values[within] = "many", "some"
    lines = refused(read, written(values, path)).splitlines()
    assert len(lines) == 2
    assert all(f"{path.name}: " in line for line in lines)


def test_bytes_that_are_no_text_are_refused(caller: Caller) -> None:
    read, _, path, *_ = caller
    path.write_bytes(b"\xff\xfe\x00name")
    assert f"{path.name}: cannot be read: " in refused(read, path)


class Inner(StrictModel):
    size: int = 1


class Outer(StrictModel):
    name: str
    parts: tuple[Inner, ...] = ()
    other: Inner | None = None


def test_the_callers_class_of_error_is_raised(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(ContractError, match=r"x\.json: not readable as JSON: key 'b' is doubled"):
        load_json(tmp_path / "x.json", ContractError)
    with pytest.raises(ContractError, match=r"gone\.yaml: cannot be read"):
        load_yaml(tmp_path / "gone.yaml", ContractError)
    with pytest.raises(ContractError, match=r"here: found list; allowed: keys and values \['parts', 'other'\]"):
        validate(Outer, [1], "here", ContractError, derived=("name",))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"name": "n", "parts": [{}, {"sise": 2}]}, "here: parts[1].sise: unknown key; allowed: ['size']"),
        ({"name": "n", "other": {"sise": 2}}, "here: other.sise: unknown key; allowed: ['size']"),
        ({"name": "n", "x": 1}, "here: x: unknown key; allowed: ['parts', 'other']"),
        ({}, "here: name: missing; it must be given"),
    ],
)
def test_the_path_leads_to_the_fault(values: dict[str, Any], line: str) -> None:
    with pytest.raises(VgilError) as error:
        validate(Outer, values, "here", derived=("name",))
    assert str(error.value) == line


BOMB = "\n".join(["a0: &a0 [x, x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)])
HOSTILE = {
    "aliases of aliases": (BOMB, "values, aliases counted as what they stand for; allowed: up to 20000"),
    "a value in itself": ("a: &a [*a]", "the value on line 1 holds itself"),
    "lists in lists": ("a: " + "[" * 5000, "line 1 is nested too deep; allowed: 32"),
    "keys in keys": ("{a: " * 5000, "line 1 is nested too deep; allowed: 32"),
    "blocks in blocks": ("\n".join(" " * i + "a:" for i in range(500)), "is nested too deep; allowed: 32"),
    "too long": ("a: " + "x" * 300_000, "has 300003 characters; allowed: up to 262144"),
    "no number": ('a: !!int ""', "'' on line 1 is no int"),
    "no truth": ("b: 1\na: !!bool x", "'x' on line 2 is no bool"),
    "no date": ("a: 2001-99-99", "'2001-99-99' on line 1 is no timestamp"),
    "no stamp": ("a: !!timestamp x", "'x' on line 1 is no timestamp"),
    "no bytes": ('a: !!binary "é"', "failed to convert base64 data"),
    "no float": ("a: !!float x", "'x' on line 1 is no float"),
    "no mapping": ("a: !!map x", "line 1"),
    "no set": ("a: !!set x", "line 1"),
    "more digits than Python prints": ("a: " + "9" * 5000, "on line 1 is no int"),
    "control characters": ("a: \x07", "not readable as YAML"),
    "a program": ("a: !!python/object/apply:os.system [true]", "not readable as YAML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_at_once(tmp_path: Path, name: str) -> None:
    text, words = HOSTILE[name]
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(VgilError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_alias_may_be_used_as_it_is_meant(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("limits: &both [1, 2]\nleft: *both\nright: *both\n")
    assert load_yaml(tmp_path / "a.yaml") == {"limits": [1, 2], "left": [1, 2], "right": [1, 2]}


def test_json_without_end_and_places_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(VgilError, match=r"a\.json: not readable as JSON: it is nested without end"):
        load_json(tmp_path / "a.json")
    with pytest.raises(VgilError, match="is no file; allowed: a text file"):
        load_yaml(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VgilError, match="is no file; allowed: a text file"):
        load_yaml(tmp_path / "pipe")
    with (tmp_path / "big.yaml").open("wb") as big:
        big.truncate(1 << 40)
    with pytest.raises(VgilError, match=r"big\.yaml: has 1099511627776 bytes; allowed: up to"):
        load_yaml(tmp_path / "big.yaml")
