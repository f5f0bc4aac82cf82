"""Finish reasons in OpenAI's words, and the errors of answers that a provider gave up. No row lives here."""

from collections.abc import Collection, Mapping
from typing import Any

from oneapi.wire import VendorError


def aborted(reason: Any, message: Any = None) -> VendorError:
    """Return the error of an answer that the provider gave up; another channel may answer the same request."""
    text = message if isinstance(message, str) and message else f"The provider ended the answer with {reason}."
    return VendorError("server", text, status=200, code=str(reason))


def finish(
    reasons: Mapping[str, str], reason: Any, *, called: bool = False, usable: bool = True, aborts: Collection[str] = (),
    message: Any = None,
) -> str:  # fmt: skip
    """Return OpenAI's finish reason for a provider's `reason`; an answer without one, or with an unknown one, has stopped.

    Tool calls (`called`) end with `tool_calls`, except where the answer was cut or filtered: their arguments may be cut too.
    Raises VendorError("server") with `message` for a reason in `aborts`, or an unknown one, of an answer that is not `usable`.
    """
    found = reasons.get(str(reason))
    if reason and not usable and (found is None or reason in aborts):
        raise aborted(reason, message)
    return "tool_calls" if called and found in (None, "stop") else found or "stop"


def usable(message: Mapping[str, Any]) -> bool:
    """Return whether a message or delta holds something a client can use: text, a tool call, a picture; not thoughts alone."""
    return bool(message.get("content") or message.get("tool_calls") or message.get("images"))
