"""How a screen answers: whole, or only the block that htmx asked for; what happens after a write; headers of every page."""

import json
import logging
import re
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, flash, g, get_flashed_messages, redirect, request
from markupsafe import Markup
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException, UnprocessableEntity

from oneapi import access, proxies
from oneapi.fields import Invalid, split_address
from oneapi.messages import Refused
from oneapi.models import Missing, charset, pool
from oneapi.pages import api_errors, complaints

log = logging.getLogger(__name__)

POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:", "font-src": "'self'",
    "connect-src": "'self'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'", "manifest-src": "'self'",
}  # fmt: skip


PANEL = "HX-Panel"  # tells the page's script that an error is to be shown where the answer was awaited


class Place(NamedTuple):
    """An element that GETs fill: where in it an error is shown and how, and what a second try swaps."""

    room: str
    how: str
    target: str
    swap: str


PLACES = {
    "drawer": Place("#drawer", "innerHTML", "#drawer", "innerHTML"),
    "list": Place("#list :is(.scroll, .empty)", "outerHTML", "#list", "morph:outerHTML"),  # its search keeps what is typed
    "older": Place("#older > td", "innerHTML", "#older", "outerHTML"),
    "found": Place("#found", "innerHTML", "#found", "innerHTML"),
    "main": Place("#main", "innerHTML", "#main", ""),
}

HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")


def htmx() -> bool:
    """Whether a fragment may be the answer: htmx asks, and neither for a boosted page nor to restore history."""
    asked = request.headers
    return "HX-Request" in asked and "HX-Boosted" not in asked and "HX-History-Restore-Request" not in asked


def page(name: str, /, *blocks: str, status: int = 200, **data: Any) -> Response:
    """The whole template, or the one of `blocks` that htmx wants to put where an element of that id stands."""
    wanted = request.headers.get("HX-Target", "")
    block = wanted if htmx() and wanted in blocks else ""
    answer = Response(_render(name, block, data), status, mimetype="text/html")
    answer.headers["Vary"] = "HX-Request, HX-Target, Cookie"
    if "HX-Request" in request.headers:
        tell(answer, *({"toast": message} for message in get_flashed_messages()))
    return answer


def fragment(name: str, block: str, /, *, status: int = 200, **data: Any) -> Response:
    """One block of a template, whoever asks."""
    answer = Response(_render(name, block, data), status, mimetype="text/html")
    tell(answer, *({"toast": message} for message in get_flashed_messages()))
    return answer


def sheet(inside: str, /, *, status: int = 200, **data: Any) -> Response:
    """A form or reading panel: alone for the drawer that htmx fills, as a page of its own otherwise."""
    if htmx():
        answer = Response(_render(inside, "", data), status, mimetype="text/html")
        return tell(answer, *({"toast": message} for message in get_flashed_messages()))
    return page("sheet.html", status=status, inside=inside, **data)


def rendered(name: str, block: str, /, **data: Any) -> str:
    """One block of a template as text."""
    return _render(name, block, data)


def _render(name: str, block: str, data: dict[str, Any]) -> str:
    template = current_app.jinja_env.get_template(name)
    current_app.update_template_context(data)
    if not block:
        return template.render(data)
    return "".join(template.blocks[block](template.new_context(data)))


def tell(answer: Response, *events: dict[str, Any]) -> Response:
    """Add events for the page's script. Headers are Latin-1, so everything else is escaped."""
    known = json.loads(answer.headers.get("HX-Trigger", "{}"))
    for event in events:
        for event_name, detail in event.items():
            known.setdefault(event_name, detail)
            if event_name == "toast" and known["toast"] is not detail:
                known["toast"] = {**detail, "more": known["toast"]}
    if known:
        answer.headers["HX-Trigger"] = json.dumps(known, ensure_ascii=True)
    return answer


def toast(text: str, kind: str = "ok", **more: str) -> None:
    """Say what happened to what: beside the page at once, or on the next page without scripts. `undo` is an address."""
    flash({"text": str(text), "kind": kind, **more})  # type: ignore[arg-type]


def done(where: str) -> Response:
    """After a write: 303, or for htmx close the drawer and show the page there in place of this one."""
    if "HX-Request" not in request.headers:
        return redirect(where, 303)  # type: ignore[return-value]
    answer = Response(status=200)
    going = {"path": where, "target": "#main", "select": "#main", "swap": "morph:outerHTML"}
    answer.headers["HX-Location"] = json.dumps(going)
    answer.headers["HX-Reswap"] = "none"
    return tell(answer, {"drawer:close": True})


def back(to: str, *drop: str) -> str:
    """The address of the list someone came from, filters kept, or `to` when they came from elsewhere."""
    current = split_address(request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "")
    if current.path != to or current.netloc not in ("", request.host):
        return to
    gone = ("edit", "id", "add", "like", "tests", "balance", "keys", *drop)
    kept = "&".join(pair for pair in current.query.split("&") if pair and pair.partition("=")[0] not in gone)
    return to + (f"?{kept}" if kept else "")


def safe(where: str | None, otherwise: str = "/") -> str:
    """A path of this site, whatever a query string claims."""
    where = where or ""
    if not where.startswith("/") or where.startswith(("//", "/\\")) or any(c in where for c in "\r\n\t\\"):
        return otherwise
    return where


def allow(directive: str, *sources: str) -> None:
    """Widen this page's content security policy."""
    extra = g.setdefault("policy", {})
    extra[directive] = " ".join(dict.fromkeys([*extra.get(directive, "").split(), *filter(None, sources)]))


def origin(address: str) -> str:
    """Scheme and host of an address, for a policy; empty when it has none."""
    parts = split_address(proxies.in_ascii(address))
    known = parts.scheme in ("http", "https") and HOST.fullmatch(parts.netloc)
    return f"{parts.scheme}://{parts.netloc}" if known else ""


def _headers(answer: Response) -> Response:
    guard = g.get("guard")
    if (guard is not None and guard.dialect == "page") or g.get("error_page"):
        extra = g.get("policy", {})
        policy = {name: f"{POLICY.get(name, '')} {extra.get(name, '')}".strip() for name in (*POLICY, *extra)}
        answer.headers.setdefault("Content-Security-Policy", "; ".join(f"{name} {value}" for name, value in policy.items()))
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers.setdefault("X-Frame-Options", "DENY")
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    answer.headers.setdefault("Referrer-Policy", "same-origin")
    return answer


def _failed(error: Exception) -> Any:
    """An error page, a panel in place of what htmx was to fill, or the sentence alone beside what was to be done.
    The API and the relay write their own."""
    status = _status(error)
    if request.path.startswith("/static/"):
        return error if isinstance(error, HTTPException) else ("", status)
    said = str(error.description or "") if isinstance(error, HTTPException) and status in (403, 413, 422, 429) else ""
    if api_errors.wanted() or (g.get("guard") and g.guard.dialect == "api"):
        return api_errors.answer(status, said)
    g.error_page = True
    words = {"status": status, "said": said}
    if not htmx():
        answer = Response(_render("error.html", "", words), status, mimetype="text/html")
        answer.headers.update({PANEL: "page"} if "HX-Boosted" in request.headers else {})
        return answer
    title, why = (_render("error.html", block, words).strip() for block in ("title", "why"))
    if request.method == "GET" and (place := PLACES.get(request.headers.get("HX-Target", ""))):
        return _panel(place, status, title, why)
    answer = Response(_render("error.html", "words", words), status, mimetype="text/html")
    return tell(answer, {"toast": {"kind": "bad", "text": said or title, "id": access.request_id()}})


def _refused(error: Refused | Invalid) -> Any:
    """What an action refuses where no form shows it."""
    return _failed(UnprocessableEntity(" ".join(complaints.of(error).values())))


def _unstorable(error: DataError) -> Any:
    if not charset.unstorable(error):
        raise error
    return _refused(Refused("unstorable"))


def _status(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.code or 500
    if pool.away(error):
        log.error("%s %s failed, request %s: %s", request.method, request.path, access.request_id(), error)
        g.retry_after = round(pool.WAIT_SECONDS)
        access.nobody()
        return 503
    if isinstance(error, pool.AWAY):  # a statement that is wrong: Flask logs only what has no handler
        log.error("%s %s failed, request %s", request.method, request.path, access.request_id(), exc_info=error)
    return 404 if isinstance(error, Missing) else 500


def _panel(place: Place, status: int, title: str, why: str) -> Response:
    again = request.full_path.rstrip("?")
    data = {"title": Markup(title), "why": Markup(why), "again": again, "target": place.target, "swap": place.swap}
    answer = Response(_render("panel.html", "", data), status, mimetype="text/html")
    answer.headers.update({PANEL: "part", "HX-Retarget": place.room, "HX-Reswap": place.how, "HX-Reselect": "unset"})
    return answer


def init(app: Flask) -> None:
    app.after_request(_headers)
    for status in (400, 401, 403, 404, 405, 413, 422, 429, 500):
        app.register_error_handler(status, _failed)
    for kind in (Refused, Invalid):
        app.register_error_handler(kind, _refused)
    app.register_error_handler(DataError, _unstorable)
    for failure in (Missing, *pool.AWAY):
        app.register_error_handler(failure, _failed)
    app.jinja_env.globals.update(flashed=get_flashed_messages, request_id=access.request_id)
