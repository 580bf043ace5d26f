"""From YAML text to plain values, and from pydantic's findings to lines a person can act on."""

from __future__ import annotations

import types
import typing
from collections.abc import Hashable, Iterator
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails


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


def parse_yaml(text: str) -> Any:
    """Return the plain values of a YAML text.

    Raises:
        yaml.YAMLError: for text that is not YAML, that gives a key twice, or whose keys are no words.
    """
    return yaml.load(text, Loader=_StrictLoader)


def describe(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Yield one line for each finding: key path, what was found, what is allowed."""
    for finding in error.errors():
        if finding["type"] == "too_short" and finding["input"]:
            continue  # an item of the list is wrong, and has its own line
        yield _line(finding, model)


def _line(finding: ErrorDetails, model: type[BaseModel]) -> str:
    location = finding["loc"]
    where = _path(location)
    kind, context, value = finding["type"], finding.get("ctx", {}), _short(finding["input"])
    if kind == "extra_forbidden":
        return f"{where}: unknown key; allowed: {_allowed_keys(model, location[:-1])}"
    if kind == "missing":
        return f"{where}: missing; it must be given"
    if kind == "value_error":
        prefix = f"{where}: " if where else ""
        return f"{prefix}{context['error']}"
    if kind == "literal_error":
        return f"{where}: found {value}; allowed: {context['expected']}"
    if kind in ("string_pattern_mismatch", "too_long"):
        return f"{where}: found {value}; allowed: {_rule(kind, context)}"
    return f"{where}: found {value}; {finding['msg'][0].lower()}{finding['msg'][1:]}"


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


def _allowed_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
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


class StrictModel(BaseModel):
    """A checked, immutable value that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
