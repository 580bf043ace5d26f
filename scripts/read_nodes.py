"""Static reader of nodes: their parameters, topics and services, from the sources, without ROS 2.

It follows a node's class, its bases, and every function and class of `vgil_ros.nodes` that they call, and reads the
calls that declare something. Values are evaluated where everything in them is known without running the node.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgil_ros.core.graph.service_names import NODES

ROOT = Path(__file__).resolve().parents[1]
CALLS = {"create_publisher": "publishes", "create_subscription": "subscribes", "create_service": "offers",
         "create_client": "calls"}  # fmt: skip


class Unknown(Exception):
    """A value that is only known when the node runs."""


@dataclass(frozen=True)
class Parameter:
    """One parameter as declared; a bound that is another parameter is its name in code."""

    name: str
    default: Any
    doc: str
    low: Any = None
    high: Any = None
    choices: tuple[str, ...] | None = None
    read_only: bool = True


@dataclass(frozen=True)
class Endpoint:
    """One topic or service: `name` where it is known, else `expression`, what it is in the code."""

    direction: str
    kind: str
    name: str | None
    expression: str
    where: str


@dataclass
class NodeInterface:
    """Everything that a node declares, each once, in the order of the code."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    endpoints: list[Endpoint] = field(default_factory=list)


@dataclass(frozen=True)
class Module:
    """A source file: its name, its tree, and what it imports (name -> (module, name there))."""

    name: str
    tree: ast.Module
    imports: Mapping[str, tuple[str, str]]

    @classmethod
    def load(cls, name: str) -> Module:
        """Read a module of the package."""
        base = ROOT / Path(*name.split("."))
        path = base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        imports = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        return cls(name, tree, imports)

    def definition(self, name: str) -> ast.stmt | None:
        """A class, function or assignment at the top of the file."""
        for node in self.tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
                return node
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node
        return None


_modules: dict[str, Module] = {}


def module_of(name: str) -> Module:
    """A module, read once."""
    if name not in _modules:
        _modules[name] = Module.load(name)
    return _modules[name]


class Names(Mapping[str, Any]):
    """What names stand for at a place in the code: local values, then the module's own, then what it imports."""

    def __init__(self, module: Module, local: Mapping[str, Any]) -> None:
        self._module, self._local = module, local

    def __getitem__(self, name: str) -> Any:
        if name in self._local:
            return evaluate(self._local[name], self) if isinstance(self._local[name], ast.expr) else self._local[name]
        definition = self._module.definition(name)
        if isinstance(definition, ast.Assign):
            return evaluate(definition.value, Names(self._module, {}))
        if name not in self._module.imports:
            raise KeyError(name)
        source, there = self._module.imports[name]
        if source.startswith("vgil_ros.nodes"):
            return Names(module_of(source), {})[there]
        try:
            return getattr(importlib.import_module(source), there)
        except ImportError as error:
            raise Unknown(f"{source}.{there}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._local)

    def __len__(self) -> int:
        return len(self._local)


def evaluate(expression: ast.expr, names: Names) -> Any:
    """The value of an expression.

    Raises:
        Unknown: where it is known only at run time.
    """
    code = compile(ast.Expression(expression), "<declared>", "eval")
    try:
        return eval(code, {}, names)
    except Exception as error:
        raise Unknown(ast.unparse(expression)) from error


class Reader:
    """Walks everything that making a node of this name runs through."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.found = NodeInterface()
        self._seen: set[tuple[str, str]] = set()
        self._fields: dict[str, str] = {}  # attribute of the node -> parameter that it holds
        module = module_of(f"vgil_ros.nodes.{node}")
        for name in self._node_classes(module):
            self._visit(module, name)

    @staticmethod
    def _node_classes(module: Module) -> list[str]:
        main = module.definition("main")
        assert isinstance(main, ast.FunctionDef)
        names = {node.id for node in ast.walk(main) if isinstance(node, ast.Name)}
        return [node.name for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name in names]

    def _visit(self, module: Module, name: str) -> None:
        definition = module.definition(name)
        if name in module.imports and definition is None:
            source, there = module.imports[name]
            if source.startswith("vgil_ros.nodes"):
                self._visit(module_of(source), there)
            return
        if (module.name, name) in self._seen or not isinstance(definition, (ast.ClassDef, ast.FunctionDef)):
            return
        self._seen.add((module.name, name))
        if isinstance(definition, ast.FunctionDef):
            self._walk(module, definition.body, {})
            return
        for base in definition.bases:
            self._visit(module, ast.unparse(base))
        for part in definition.body:
            if isinstance(part, ast.FunctionDef):
                self._walk(module, part.body, {"name": self.node})

    def _walk(self, module: Module, body: Sequence[ast.stmt], local: dict[str, Any]) -> None:
        """In the order of the code, so that a name has the value that it has there."""
        for statement in body:
            if isinstance(statement, (ast.FunctionDef, ast.If, ast.With, ast.Try, ast.While)):
                self._expressions(
                    module, [e for e in ast.iter_child_nodes(statement) if isinstance(e, ast.expr)], local
                )
                for block in ("body", "orelse", "finalbody"):
                    self._walk(module, getattr(statement, block, []), local)
            elif isinstance(statement, ast.For):
                self._loop(module, statement, local)
            else:
                self._expressions(module, [statement], local)
                self._assign(statement, local)

    def _loop(self, module: Module, loop: ast.For, local: dict[str, Any]) -> None:
        try:
            values = list(evaluate(loop.iter, Names(module, local)))
        except Unknown:
            self._walk(module, loop.body, local)
            return
        for value in values:
            inner = {**local, loop.target.id: value} if isinstance(loop.target, ast.Name) else local
            self._walk(module, loop.body, inner)

    def _assign(self, statement: ast.stmt, local: dict[str, Any]) -> None:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name):
            local[target.id] = value
        elif isinstance(value, ast.Call) and ast.unparse(value.func) == "self.declare":
            self._fields[ast.unparse(target)] = ast.literal_eval(value.args[0])

    def _expressions(self, module: Module, nodes: Sequence[ast.AST], local: dict[str, Any]) -> None:
        for call in (part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Call)):
            method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            where = f"{module.name}:{call.lineno}"
            if method == "declare" and call.args:
                self._parameter(call, Names(module, local), where)
            elif method == "serve":
                name = f"/{self.node}/{evaluate(call.args[0], Names(module, local))}"
                self.found.endpoints.append(Endpoint("offers", "std_srvs/Trigger", name, name, where))
            elif method in CALLS:
                self._endpoint(module, CALLS[method], call, Names(module, local), where)
            for name in (ast.unparse(call.func), ast.unparse(call.func).partition(".")[0]):
                self._visit_called(module, name)

    def _visit_called(self, module: Module, name: str) -> None:
        """A function or class by its name, or `module.name` of an imported module."""
        head, _, attribute = name.partition(".")
        if attribute and head in module.imports:
            source, there = module.imports[head]
            inner = f"{source}.{there}"
            if inner.startswith("vgil_ros.nodes") and (ROOT / Path(*inner.split("."))).with_suffix(".py").is_file():
                self._visit(module_of(inner), attribute)
                return
        self._visit(module, head if not attribute or head not in ("self", "super") else "")

    def _parameter(self, call: ast.Call, names: Names, where: str) -> None:
        given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        try:
            values = {key: self._bound(value, names) for key, value in given.items()}
            name, default = evaluate(call.args[0], names), evaluate(call.args[1], names)
        except Unknown as error:
            raise SystemExit(f"{where}: declare(...): {error} is not known without running the node") from None
        if "choices" in values:
            values["choices"] = tuple(values["choices"])
        self.found.parameters.setdefault(name, Parameter(name, default, values.pop("doc"), **values))

    def _bound(self, value: ast.expr, names: Names) -> Any:
        return f"`{self._fields[text]}`" if (text := ast.unparse(value)) in self._fields else evaluate(value, names)

    def _endpoint(self, module: Module, direction: str, call: ast.Call, names: Names, where: str) -> None:
        kind, topic = call.args[:2]
        source, name = module.imports.get(ast.unparse(kind), ("", ast.unparse(kind)))
        try:
            known = evaluate(topic, names)
        except Unknown:
            known = None
        if isinstance(known, str) and known.startswith("~/"):
            known = f"/{self.node}/{known[2:]}"
        if ast.unparse(topic) != "f'~/{name}'":  # `serve` is read where it is called
            shown = f"{source.partition('.')[0]}/{name}" if source else ""
            text = known if isinstance(known, str) else None
            self.found.endpoints.append(Endpoint(direction, shown, text, ast.unparse(topic), where))


def read_node(node: str) -> NodeInterface:
    """What a node declares."""
    return Reader(node).found


if __name__ == "__main__":
    for one in NODES:
        interface = read_node(one)
        print(one, *interface.parameters.values(), *interface.endpoints, sep="\n   ")
