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

LARGEST_TEXT = 16 << 20  # bytes; a policy's statistics are long lists
LONGEST_YAML = 1 << 18  # characters; whoever writes settings by hand needs a few thousand
DEEPEST, MOST_NODES = 32, 20_000  # of a YAML's values, each alias counted as what it stands for
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
    except RecursionError as fault:
        raise error(f"{path}: not readable as JSON: it is nested without end; allowed: {DEEPEST} deep") from fault
    except ValueError as fault:
        raise error(f"{path}: not readable as JSON: {fault}") from fault


def parse_yaml(text: str, where: str, error: type[VgilError] = VgilError) -> Any:
    """Return the plain values of a YAML text; `where` is what to call it in errors. Raises as `load_yaml`."""
    if len(text) > LONGEST_YAML:
        raise error(f"{where}: has {len(text)} characters; allowed: up to {LONGEST_YAML}")
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except Exception as fault:  # PyYAML answers some texts with errors that are not its own
        raise error(f"{where}: not readable as YAML: {' '.join(str(fault).split())}") from fault


def read_text(path: Path, error: type[VgilError] = VgilError) -> str:
    """Return the text of a UTF-8 file.

    Raises:
        error: it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise error(f"{path}: is no file; allowed: a text file")
        if (size := path.stat().st_size) > LARGEST_TEXT:
            raise error(f"{path}: has {size} bytes; allowed: up to {LARGEST_TEXT} for a text of settings")
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
    """SafeLoader within bounds: a key stands once, values are nested and repeated (by aliases) only so much."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, unless it is nested too deep."""
        self._depth += 1
        if self._depth > DEEPEST:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, f"line {line} is nested too deep; allowed: {DEEPEST}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        """Return the document, unless its aliases stand for more than a person would write."""
        node = super().get_single_node()
        if node is not None and (size := _expanded(node, {}, ())) > MOST_NODES:
            raise yaml.constructor.ConstructorError(
                None, None, f"{size} values, aliases counted as what they stand for; allowed: up to {MOST_NODES}"
            )
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a node's value; one that its tag does not allow is named with its line."""
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as fault:
            tag, line = node.tag.rpartition(":")[2], node.start_mark.line + 1
            found = _short(node.value)
            raise yaml.constructor.ConstructorError(
                None, None, f"{found} on line {line} is no {tag}; give one"
            ) from fault

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(
                None, None, f"line {node.start_mark.line + 1} has no keys; allowed: keys and values"
            )
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {_short(key)} on line {line} is not a word")
            if key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is doubled on line {line}")
            keys.add(key)
        return super().construct_mapping(node, deep)


def _expanded(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Return how many nodes a node stands for; each is looked at once, however often aliases name it.

    Raises:
        yaml.YAMLError: where a value holds itself.
    """
    if id(node) in above:
        raise yaml.constructor.ConstructorError(
            None, None, f"the value on line {node.start_mark.line + 1} holds itself; allowed: values within values"
        )
    if id(node) not in known:
        inner = node.value if not isinstance(node, yaml.ScalarNode) else ()
        parts = [part for pair in inner for part in pair] if isinstance(node, yaml.MappingNode) else inner
        known[id(node)] = 1 + sum(_expanded(part, known, (*above, id(node))) for part in parts)
    return known[id(node)]


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
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a number of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
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
