"""Strict configuration: YAML or JSON goes in, frozen checked values come out, and every fault is named in one way.

Robot contracts, training configurations and `policy.json` are all read here. A fault is told as
`file: key.path[0]: found X; allowed: Y`, one line each, in the class of error that the caller names.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Collection, Hashable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from vgil_ros.core.errors import VgilError

AnyModel = TypeVar("AnyModel", bound=BaseModel)


class StrictModel(BaseModel):
    """A checked, immutable value that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def load_yaml(path: Path, error: type[VgilError] = VgilError) -> Any:
    """Return the plain values of a YAML file.

    Raises:
        error: the file cannot be read, is not YAML, gives a key twice, or has keys that are no words.
    """
    return parse_yaml(read_text(path, error), str(path), error)


def load_json(path: Path, error: type[VgilError] = VgilError) -> Any:
    """Return the plain values of a JSON file.

    Raises:
        error: the file cannot be read, is not JSON, or gives a key twice.
    """
    text = read_text(path, error)
    try:
        return json.loads(text, object_pairs_hook=_each_key_once)
    except ValueError as fault:
        raise error(f"{path}: not readable as JSON: {fault}") from fault


def parse_yaml(text: str, where: str, error: type[VgilError] = VgilError) -> Any:
    """Return the plain values of a YAML text; `where` is what to call it in errors. Raises as `load_yaml`."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as fault:
        raise error(f"{where}: not readable as YAML: {' '.join(str(fault).split())}") from fault


def read_text(path: Path, error: type[VgilError] = VgilError) -> str:
    """Return the text of a UTF-8 file.

    Raises:
        error: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise error(f"{path}: cannot be read: {fault}") from fault


def validate(
    model: type[AnyModel],
    values: Any,
    where: str,
    error: type[VgilError] = VgilError,
    *,
    derived: Collection[str] = (),
) -> AnyModel:
    """Return the model that plain values describe.

    Args:
        model: its class.
        values: keys and values.
        where: what to call them in errors (a file's name).
        error: class of the error.
        derived: keys that the caller fills in itself, so that they are not offered where a key is unknown.

    Raises:
        error: with one line for each fault: key path, what was found, what is allowed.
    """
    if not isinstance(values, dict):
        allowed = _but(model.model_fields, derived)
        raise error(f"{where}: found {type(values).__name__}; allowed: keys and values {allowed}")
    try:
        return model.model_validate(values)
    except ValidationError as faults:
        raise error("\n".join(f"{where}: {line}" for line in _describe(faults, model, derived))) from None


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that takes a key once: a doubled key is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} on line {line} is not a word")
            if key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is doubled on line {line}")
            keys.add(key)
        return super().construct_mapping(node, deep)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"key '{key}' is doubled")
        values[key] = value
    return values


def _describe(faults: ValidationError, model: type[BaseModel], derived: Collection[str]) -> Iterator[str]:
    for fault in faults.errors():
        if fault["type"] == "too_short" and fault["input"]:
            continue  # an item of the list is wrong, and has its own line
        yield _line(fault, model, derived)


def _line(fault: ErrorDetails, model: type[BaseModel], derived: Collection[str]) -> str:
    location = fault["loc"]
    where = _path(location)
    kind, context, value = fault["type"], fault.get("ctx", {}), _short(fault["input"])
    if kind == "extra_forbidden":
        return f"{where}: unknown key; allowed: {_but(_keys_at(model, location[:-1]), derived)}"
    if kind == "missing":
        return f"{where}: missing; it must be given"
    if kind == "value_error":
        prefix = f"{where}: " if where else ""
        return f"{prefix}{context['error']}"
    if kind == "literal_error":
        return f"{where}: found {value}; allowed: {context['expected']}"
    if kind in ("string_pattern_mismatch", "too_long"):
        return f"{where}: found {value}; allowed: {_rule(kind, context)}"
    message = fault["msg"].removeprefix("Input should be ")
    if message != fault["msg"]:
        return f"{where}: found {value}; allowed: {message}"
    return f"{where}: found {value}; {message[0].lower()}{message[1:]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _rule(kind: str, context: dict[str, Any]) -> str:
    if kind == "too_long":
        return f"{context['max_length']} values"
    if "/" in context["pattern"]:
        return "a topic's name, as /words_of_letters/digits_0_and_underscores"
    return "a name of letters, digits and underscores that begins with a letter"


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            word = part if part.isprintable() and part else repr(part)
            path += f".{word}" if path else word
    return path


def _but(keys: Collection[str], derived: Collection[str]) -> list[str]:
    return [key for key in keys if key not in derived]


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys of the model that stands at `location` below `model`."""
    current: Any = model
    for part in location:
        if isinstance(part, str) and isinstance(current, type) and issubclass(current, BaseModel):
            current = _model_in(current.model_fields[part].annotation)
    return list(current.model_fields)


def _model_in(annotation: Any) -> Any:
    """The pydantic model inside `X | None`, `tuple[X, ...]` and the like."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    for inner in typing.get_args(annotation):
        model = _model_in(inner)
        if isinstance(model, type) and issubclass(model, BaseModel):
            return model
    return None
