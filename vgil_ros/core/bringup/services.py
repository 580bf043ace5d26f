"""The contract's `enable` and `disable` lists: services that a driver wants called, in order, each answer judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vgil_ros.core.bringup.steps import BringupError, Call, Say, Steps, answered
from vgil_ros.core.contract import ServiceCall

SAID = ("message", "status_message", "error_message")  # fields in which services say why


def call_all(calls: Sequence[ServiceCall]) -> Steps[None]:
    """Call each in turn.

    Raises:
        BringupError: for the first that does not answer, or says that it failed.
    """
    for call in calls:
        answer = yield from answered(Call(call.service, call.type, call.request))
        if (why := refusal(answer)) is not None:
            raise BringupError(f"{call.service} failed: {why}; nothing after it was called")
        yield Say(f"{call.service}: done")


def refusal(answer: Mapping[str, Any]) -> str | None:
    """Why a response says that the call failed; None where it does not.

    `success` (std_srvs) and `ok` are true where all went well, `ret` (xArm's services) is 0; a response without any of
    them says nothing.
    """
    for key in ("success", "ok"):
        if isinstance(answer.get(key), bool) and not answer[key]:
            return _words(answer, f"{key} is false")
    ret = answer.get("ret")
    if isinstance(ret, int) and not isinstance(ret, bool) and ret != 0:
        return _words(answer, f"ret is {ret}, and 0 is success")
    return None


def _words(answer: Mapping[str, Any], what: str) -> str:
    said = next((str(answer[key]) for key in SAID if answer.get(key)), "")
    return f"{said} ({what})" if said else what
