"""The envelope of the management API: how answers look, how bodies are read, and what becomes of errors."""

import gzip
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException

from oneapi import access, doors, messages
from oneapi.doors import GuardedBlueprint
from oneapi.fields import Invalid, integer, parsed, storable
from oneapi.messages import Refused
from oneapi.models import Missing, charset, pool
from oneapi.wire import VendorError

log = logging.getLogger(__name__)

PAGE_SIZE, LARGEST_PAGE, MOST_FOUND = 10, 100, 1000
GZIP_FROM = 1400  # bytes: smaller answers fit into one packet anyway
KINDS = {
    int: ("整数", "a whole number"),
    float: ("数字", "a number"),
    str: ("字符串", "a text"),
    bool: ("布尔值", "true or false"),
}


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, dict(headers or {}), content_type="application/json; charset=utf-8")


def ok(data: Any = None, *, message: str = "", **more: Any) -> Response:
    """Success; `data` is left out when there is none."""
    return answer({"success": True, "message": message} | ({} if data is None else {"data": data}) | more)


def with_csrf(made: Response) -> Response:
    """Add the header X-CSRF-Token, which a session sends with a GET that changes something. Other sites cannot read it."""
    if not (access.current_user.is_authenticated and access.current_user.by_token):
        made.headers["X-CSRF-Token"] = access.csrf_token()
    return made


def listing(rows: Iterable[Any], total: int, **more: Any) -> Response:
    """Success with one page of a list, and how long the whole list is."""
    return answer({"success": True, "message": "", "data": list(rows)} | more, headers={"X-Total-Count": str(total)})


def fail(code: str, *, status: int = 200, **values: Any) -> Response:
    return answer({"success": False, "message": messages.text(code, access.language(), **values)}, status)


def complain(error: Refused | Invalid, status: int = 200) -> Response:
    """A refusal; where it is about fields of the request, `errors` says which and what is wrong with each."""
    body: dict[str, Any] = {"success": False, "message": messages.of(error, access.language())}
    if errors := {name: text for name, text in messages.errors(error, access.language()).items() if name}:
        body["errors"] = errors
    return answer(body, status)


@dataclass(frozen=True, slots=True)
class Page:
    offset: int
    limit: int


def page() -> Page:
    """The page that was asked for: `p` counts from zero, ten rows unless `page_size` says more."""
    limit = min(number_of("page_size") or PAGE_SIZE, LARGEST_PAGE)
    return Page(min(number_of("p"), 10**12) * limit, limit)


def most_found() -> int:
    """How many rows a search answers at most."""
    return min(number_of("page_size") or MOST_FOUND, MOST_FOUND)


def number_of(name: str) -> int:
    """A number of the query string; what is none, negative or too large for a database counts as 0."""
    text = request.args.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def word(name: str) -> str:
    """A text of the query string that a database takes."""
    return request.args.get(name, "")


ONCE = ("Idempotency-Key",)


def idempotency_key() -> str:
    """What a client calls this attempt, so that a repetition counts once; "" when it has no name."""
    return storable(request.headers.get(ONCE[0], "")).strip()


def id_of(text: str) -> int:
    """The id in a path; raises Refused when it is not a number that a database can hold."""
    try:
        return integer(text)
    except ValueError:
        raise Refused("invalid_parameter") from None


def decode(shape: Mapping[str, type], *, exact: bool = False) -> dict[str, Any]:
    """The body's values by name: keys match in any case, unknown ones and nulls are left out, wrong types refused.

    `exact` gives the bare message that programs compare, without saying which value was wrong.
    """
    values: dict[str, Any] = {}
    for key, value in _body().items():
        name = key if key in shape else key.lower()
        if name not in shape or value is None:
            continue
        taken = _of_type(shape[name], value)
        if taken is None:
            kind_zh, kind = KINDS[shape[name]]
            raise Refused("invalid_parameter" if exact else "wrong_type", field=name, kind_zh=kind_zh, kind=kind)
        values[name] = taken
    return values


def _body() -> dict[str, Any]:
    try:
        body = parsed(request.get_data())
    except ValueError:
        raise Refused("invalid_parameter") from None
    if not isinstance(body, dict):
        raise Refused("invalid_parameter")
    return body


def _of_type(kind: type, value: Any) -> Any:
    """The value if JSON wrote it as this type, else None."""
    if kind is str:
        return storable(value) if isinstance(value, str) else None
    if kind is bool:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 2**63 or value != value:
        return None
    if kind is int:
        return int(value) if value == int(value) else None
    return float(value)


def says(
    data: str | None, *, takes: Mapping[str, type] | None = None, query: Iterable[str] = (), headers: Iterable[str] = (),
    more: Mapping[str, type] | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """Describe a view for the OpenAPI document: its answer's data ("User", "[User]", "string", "" for none; None when the
    answer has no envelope) and what `more` stands beside it, its body, its query and the headers it heeds."""

    def described(view: Any) -> Any:
        view.says, view.takes, view.query, view.headers, view.more = data, takes or {}, tuple(query), tuple(headers), more or {}
        return view

    return described


def resource(name: str, prefix: str) -> GuardedBlueprint:
    """A blueprint under /api whose errors are answered in the envelope."""
    made = GuardedBlueprint(f"api_{name}", __name__, dialect="api", url_prefix=f"/api{prefix}")
    for kind, handler in HANDLERS.items():
        made.register_error_handler(kind, handler)
    made.after_request(_compress)
    return made


def _refused(error: Refused) -> Response:
    if error.code in doors.REFUSALS:
        return doors.refuse(error.code, **error.values)
    return complain(error, STATUSES.get(error.code, 200))


def _http(error: HTTPException) -> Response:
    if error.code == 413:
        return fail("too_large", status=413)
    return answer({"success": False, "message": error.description or error.name}, error.code or 500)


def _away(error: Exception) -> Response:
    """The database is away, or other requests held it for too long."""
    if not pool.away(error):
        return _crashed(error)
    log.error("%s %s failed, request %s: %s", request.method, request.path, access.request_id(), error)
    made = fail("database_busy", status=503)
    made.headers["Retry-After"] = str(round(pool.WAIT_SECONDS))
    return made


def _crashed(error: BaseException) -> Response:
    cause = getattr(error, "original_exception", None) or error
    log.error("%s %s failed, request %s", request.method, request.path, access.request_id(), exc_info=cause)
    return fail("internal", status=500, id=access.request_id())


def _unstorable(error: DataError) -> Response:
    if not charset.unstorable(error):
        raise error
    return fail("unstorable", status=400)


# Refusals that are not answered with 200.
STATUSES = {"state_differs": 403, "balance_too_high": 400, "first_password_is_local": 403, "no_right_to_top_up": 403}
HANDLERS: dict[Any, Callable[[Any], Response]] = {
    Refused: _refused,
    Invalid: complain,
    Missing: lambda error: fail("not_found"),
    VendorError: lambda error: answer({"success": False, "message": error.message}),
    HTTPException: _http,
    DataError: _unstorable,
    500: _crashed,
}
HANDLERS.update(dict.fromkeys(pool.AWAY, _away))


def _compress(made: Response) -> Response:
    if not made.is_streamed and (made.content_length or 0) >= GZIP_FROM:
        made.vary.add("Accept-Encoding")
        if "gzip" in request.accept_encodings and "Content-Encoding" not in made.headers:
            made.set_data(gzip.compress(made.get_data(), 5, mtime=0))
            made.headers["Content-Encoding"] = "gzip"
    return made
