"""Errors of OpenAI's imitators by each vendor's own table, under a failed status as well as under HTTP 200."""

from collections.abc import Callable, Mapping
from typing import Any

from oneapi.vendors import errors, openai, pieces
from oneapi.vendors.contract import CODE_KINDS, Fail, failure
from oneapi.wire import Call, Reply, VendorError

Json = dict[str, Any]
# A mend changes one answer or chunk in place. `memo` lives as long as the answer, for what must be remembered between chunks.
Mend = Callable[[Json, Call, Json], None]


def failing(codes: Mapping[str, str]) -> Fail:
    """Reads failed answers by a vendor's table besides OpenAI's; a code may be longer than its entry by dotted parts."""
    known = {**CODE_KINDS, **codes}

    def fail(reply: Reply, call: Call) -> VendorError:
        error = failure(reply, call, known)
        error.kind = pieces.kind_of(known, error.code or error.type, error.kind)
        return error

    return fail


def coded(body: Json, codes: Mapping[str, str]) -> VendorError:
    """The same for an object that came under HTTP 200."""
    known = {**CODE_KINDS, **codes}
    error = openai.fault(body, known)
    error.kind = pieces.kind_of(known, error.code or error.type, error.kind)
    return error


def faulty(codes: Mapping[str, str]) -> Mend:
    """Raises the error that an answer or chunk holds in its place."""

    def mend(piece: Json, call: Call, memo: Json) -> None:
        if found := errors.found_in(piece) if call.kind in openai.CHOICES else piece.get("error") and piece:
            raise coded(found, codes)

    return mend


def refused_by(status: Callable[[Json], tuple[Any, str]], codes: Mapping[str, str] = CODE_KINDS) -> Mend:
    """An error inside HTTP 200: `status` finds code and message; no code, 0 and "" mean success."""

    def mend(piece: Json, call: Call, memo: Json) -> None:
        code, message = status(piece)
        if code in (None, 0, "", "0"):
            return
        raise VendorError(codes.get(str(code), "server"), message or f"error {code}", status=200, code=str(code))

    return mend
