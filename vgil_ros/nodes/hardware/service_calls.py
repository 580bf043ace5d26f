"""Service calls by name: types looked up at run time, requests from plain values, answers as plain values."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vgil_ros.core.bringup.steps import Answer, Call
from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.node import VgilNode

TURN_S = 0.05  # between two looks at whether a service has come up, or an answer is overdue


def service_type(name: str) -> Any:
    """The class of a service type `package/srv/Name`.

    Raises:
        VgilError: where its package is not installed, or has no such service.
    """
    package, _, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.srv"), kind)
    except ImportError as error:
        raise VgilError(
            f"service type '{name}': the package {package} is not installed in this environment; allowed: types of"
            " installed packages (interfaces/README.md has those of Interbotix)"
        ) from error
    except AttributeError as error:
        raise VgilError(f"service type '{name}': the package {package} has no such service; a typo?") from error


def fill(message: Any, fields: Mapping[str, Any], where: str) -> Any:
    """Set fields of a message, nested ones too, and return it.

    Raises:
        VgilError: for a field that it does not have, or a value of another type.
    """
    known = message.get_fields_and_field_types()
    for key, value in fields.items():
        if key not in known:
            raise VgilError(f"{where}: the request has no field '{key}'; allowed: {sorted(known)}")
        before = getattr(message, key)
        if isinstance(value, Mapping):
            fill(before, value, f"{where}.{key}")
            continue
        try:
            setattr(message, key, float(value) if isinstance(before, float) and type(value) is int else value)
        except (AssertionError, TypeError, ValueError) as error:
            raise VgilError(f"{where}: {key} is {value!r}; allowed: {known[key]}") from error
    return message


def fields_of(message: Any) -> dict[str, Any]:
    """The fields of a message; arrays as lists."""
    values = {key: getattr(message, key) for key in message.get_fields_and_field_types()}
    return {key: value if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") else list(value)
            for key, value in values.items()}  # fmt: skip


@dataclass
class _Pending:
    call: Call
    done: Callable[[Answer], None]
    due_s: float
    sent: bool = field(default=False)
    over: bool = field(default=False)
    future: Any = None


class ServiceCalls:
    """Calls services of other nodes without waiting for them; a node's own thread calls everything here."""

    def __init__(self, node: VgilNode) -> None:
        self._node = node
        self._clients: dict[tuple[str, str], Any] = {}
        self._pending: list[_Pending] = []
        node.background_timer(TURN_S, self._turn)

    def prepare(self, call: Call) -> None:
        """Make the client of a call, and try its request.

        Raises:
            VgilError: for a type or a field that there is not.
        """
        self._client(call)
        fill(service_type(call.type).Request(), call.request, call.service)

    def call(self, call: Call, done: Callable[[Answer], None]) -> None:
        """Call; `done` is told the answer, or None where none came in time. Waits for a service that is not there yet.

        Raises:
            VgilError: as `prepare`.
        """
        self._client(call)
        pending = _Pending(call, done, time.monotonic() + call.within_s)
        self._pending.append(pending)
        self._send(pending)

    def _client(self, call: Call) -> Any:
        key = (call.service, call.type)
        if key not in self._clients:
            self._clients[key] = self._node.create_client(service_type(call.type), call.service)
        return self._clients[key]

    def _send(self, pending: _Pending) -> None:
        client = self._client(pending.call)
        if pending.sent or not client.service_is_ready():
            return
        pending.sent = True
        request = fill(service_type(pending.call.type).Request(), pending.call.request, pending.call.service)
        future = pending.future = client.call_async(request)
        future.add_done_callback(lambda answer: self._answered(pending, answer))

    def _answered(self, pending: _Pending, future: Any) -> None:
        self._finish(pending, None if future.exception() is not None else fields_of(future.result()))

    def _turn(self) -> None:
        now = time.monotonic()
        for pending in list(self._pending):
            if now >= pending.due_s:
                if pending.future is not None:  # or its client keeps it for ever
                    self._client(pending.call).remove_pending_request(pending.future)
                self._finish(pending, None)
            else:
                self._send(pending)

    def _finish(self, pending: _Pending, answer: Answer) -> None:
        if pending.over:
            return
        pending.over = True
        self._pending.remove(pending)
        pending.done(answer)
