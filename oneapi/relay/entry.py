"""Bytes in, bytes out: the WSGI callable that answers /v1 ahead of Flask's routing. Authenticate, admit, answer."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from random import getrandbits
from typing import Any

import orjson
from flask import Flask

from oneapi import logs, proxies
from oneapi.dialects import openai as dialect
from oneapi.models.store import FAILURES
from oneapi.relay import admission, endpoints, engine, listing, passage
from oneapi.relay.answers import Served
from oneapi.relay.ask import Ask
from oneapi.relay.endpoints import Endpoint
from oneapi.relay.estimate import prompt as prompt_estimate
from oneapi.relay.failures import internal
from oneapi.relay.gateway import Gateway
from oneapi.relay.reading import Environ, check, check_types, decompressed, document, form, read, too_large
from oneapi.relay.refusal import Refused, away
from oneapi.relay.transport import ClientLeft
from oneapi.state import Caller, State
from oneapi.vendors import client_headers
from oneapi.wire import File

log = logging.getLogger(__name__)

Start = Callable[..., Any]
Wsgi = Callable[[Environ, Start], Iterable[bytes]]

REASONS = {
    200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Content", 429: "Too Many Requests", 499: "Client Closed Request", 500: "Internal Server Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
# Client headers that may travel on to a provider, if its row takes them (vendors/client_headers.py).
TRAVELLING = {
    "HTTP_ACCEPT": "Accept", "HTTP_OPENAI_BETA": "openai-beta", "HTTP_ANTHROPIC_BETA": "anthropic-beta",
    "HTTP_ANTHROPIC_VERSION": "anthropic-version",
}  # fmt: skip


def mount(app: Flask, state: State) -> Gateway:
    """Put the relay ahead of Flask's routing, in the same process and on the same state."""
    gateway = app.extensions["oneapi.relay"] = state.gateway = Gateway(state)
    gateway.secret = str(app.secret_key).encode()
    gateway.wrong_keys.together = app.extensions["oneapi-limits"].together
    app.wsgi_app = Entry(app.wsgi_app, gateway)  # type: ignore[assignment, method-assign]
    return gateway


def new_id(now: float) -> str:
    """A request id in the old project's form: local time, nanoseconds and eight digits."""
    whole = int(now)
    return f"{_stamp(whole)}{int((now - whole) * 1e9)}{getrandbits(27) % 100_000_000:08d}"


_last_stamp = (0, "")


def _stamp(second: int) -> str:
    global _last_stamp
    if _last_stamp[0] != second:
        _last_stamp = (second, time.strftime("%Y%m%d%H%M%S", time.localtime(second)))
    return _last_stamp[1]


class Entry:
    """WSGI: answers what begins with /v1 and the old billing routes; everything else is Flask's."""

    def __init__(self, app: Wsgi, gateway: Gateway):
        self.app, self.gateway = app, gateway
        config = gateway.state.config
        self.trusted = proxies.networks(config.trusted_proxies)
        self.max_body = config.max_body_mb * 1024 * 1024

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(("/v1/", "/dashboard/billing/")) and path != "/v1":
            if not path.startswith("/static/"):
                self.gateway.ledger.catch_up()  # whoever has had an answer finds it in the logs
            return self.app(environ, start)
        id = new_id(time.time())
        logs.request_id.set(id)
        headers = [("X-Oneapi-Request-Id", id), ("x-request-id", id)]
        if "HTTP_ORIGIN" in environ:
            headers += [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*")]
        try:
            if environ["REQUEST_METHOD"] == "OPTIONS":
                return preflight(start, headers)
            served, more = self.answer(environ, path, id)
        except Refused as refused:
            return refuse(environ, start, headers, refused, id)
        except ClientLeft:
            return refuse(environ, start, headers, Refused(499, "The client left.", "client_left"), id)
        except FAILURES as error:
            log.warning("request=%s the database did not answer: %s", id, type(error).__name__)
            return refuse(environ, start, headers, away(), id)
        except Exception:  # the last door: whatever else went wrong, the client gets an answer in its dialect
            log.exception("request=%s failed", id)
            return refuse(environ, start, headers, internal(), id)
        headers += [("Content-Type", served.content_type), *more]
        body = served.body
        status = "200 OK" if served.status == 200 else f"{served.status} {REASONS.get(served.status, 'Answer')}"
        if isinstance(body, bytes):
            start(status, [*headers, ("Content-Length", str(len(body)))])
            return [body]
        start(status, [*headers, ("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")])
        return body

    def answer(self, environ: Environ, path: str, id: str) -> tuple[Served, list[tuple[str, str]]]:
        """What is served and the rate headers that go with it; raises Refused."""
        method = environ["REQUEST_METHOD"]
        if not path.isascii():  # WSGI hands bytes on as Latin-1
            path = path.encode("latin-1").decode("utf-8", "replace")
        if path[-1] == "/" and not path.startswith(endpoints.PROXY):
            path = path.rstrip("/")  # both forms have always worked
        endpoint = endpoints.find(path) if method == "POST" else None
        if endpoint is None and not endpoints.known(method, path):
            raise Refused(404, f"Invalid URL ({method} {path})", "", type="invalid_request_error")
        caller, pinned = admission.caller(self.gateway.state, environ, self.client_ip)
        if endpoint is not None:
            return self.relay(environ, endpoint, caller, pinned, path, id)
        if path.startswith(endpoints.PROXY):
            return self.proxied(environ, caller, path, id)
        if endpoints.missing(method, path):
            raise Refused(501, "API not implemented", "api_not_implemented", type="one_api_error", param="")
        if path.startswith("/dashboard/"):
            self.gateway.ledger.catch_up()
        return Served("application/json", orjson.dumps(listing.find(self.gateway.state, caller, path))), []

    def relay(
        self, environ: Environ, endpoint: Endpoint, caller: Caller, pinned: int, path: str, id: str
    ) -> tuple[Served, list[tuple[str, str]]]:
        ask, failures = None, self.gateway.failures
        try:
            ask = self.ask(environ, endpoint, caller, pinned, path, id)
            if caller.models is not None:
                admission.check_model(caller, ask.model)
        except Refused as refused:
            if not isinstance(refused.__cause__, OSError):  # a body that breaks off is a client that left
                failures.refused(refused, caller, id, path, ask, chinese=chinese(environ))
            raise
        if caller.limits:
            estimate = ask.estimate = prompt_estimate(ask.kind, ask.body, ask.size)
            ask.ticket = self.gateway.board.enter(caller, estimate)
        answered = self.gateway.answered
        try:
            served = engine.relay(self.gateway, ask)
        except BaseException as error:
            answered[ask.kind, getattr(error, "status", 500)] += 1
            ask.ticket.done(0)
            failures.refused(error, caller, id, path, ask, chinese=chinese(environ))
            raise
        answered[ask.kind, 200] += 1
        headers, ask.ticket.headers = ask.ticket.headers, []  # a stream that takes minutes need not keep them
        return served, headers

    def proxied(self, environ: Environ, caller: Caller, path: str, id: str) -> tuple[Served, list[tuple[str, str]]]:
        raw, client = self.body(environ), environ.get("oneapi.client")
        ask = Ask(id, caller, endpoints.PROXIED, {}, "", len(raw), False, path, environ.get("QUERY_STRING", ""), client=client)
        try:
            served, headers = passage.proxy(self.gateway, environ, ask, raw)
        except BaseException as error:
            self.gateway.answered[ask.kind, getattr(error, "status", 500)] += 1
            self.gateway.failures.refused(error, caller, id, path, ask, chinese=chinese(environ))
            raise
        self.gateway.answered[ask.kind, served.status] += 1
        return served, headers

    def ask(self, environ: Environ, endpoint: Endpoint, caller: Caller, pinned: int, path: str, id: str) -> Ask:
        """The request, read and checked."""
        files: tuple[File, ...] = ()
        kind = environ.get("CONTENT_TYPE", "")
        raw = self.body(environ)
        if endpoint.form and kind.startswith(("multipart/", "application/x-www-form-urlencoded")):
            body, files = form(environ, raw)
        else:
            body = document(raw)
            check_types(body)
        model = body.get("model") or endpoint.model
        if not isinstance(model, str) or not model:
            raise Refused(400, "model is required", "invalid_text_request", param="model")
        check(endpoint, body)
        if body.get("model") != model:
            body["model"] = model
        headers = self.client_headers(environ, caller)
        streaming = endpoint.streams and body.get("stream") in (True, "true")
        return Ask(
            id, caller, endpoint, body, model, len(raw), streaming, path, environ.get("QUERY_STRING", ""), headers, files, pinned,
            environ.get("oneapi.client"),
        )  # fmt: skip

    def body(self, environ: Environ) -> bytes:
        """The request's body, decompressed, within the limit."""
        raw = environ.get("oneapi.body")
        if raw is None:
            raw = read(environ, self.max_body)
        if len(raw) > self.max_body:
            raise too_large(self.max_body)
        coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        return raw if coding in ("", "identity") else decompressed(raw, coding, self.max_body)

    def client_headers(self, environ: Environ, caller: Caller) -> dict[str, str]:
        """Return the headers that may travel on, with an idempotency key that no other user can send."""
        headers = {name: environ[key] for key, name in TRAVELLING.items() if key in environ}
        if key := environ.get("HTTP_IDEMPOTENCY_KEY"):
            headers["Idempotency-Key"] = passage.own_key(self.gateway.secret, caller.user_id, key)
        if text := self.gateway.state.settings.client_headers:
            wanted = {name: "HTTP_" + name.upper().replace("-", "_") for name in client_headers.further(text)}
            headers |= {name: environ[key] for name, key in wanted.items() if key in environ}
        return headers

    def client_ip(self, environ: Environ) -> str:
        return proxies.ip_of(environ, self.trusted)


# -- answering ------------------------------------------------------------------------------------------------------


def preflight(start: Start, headers: list[tuple[str, str]]) -> Iterable[bytes]:
    allowed = [
        ("Access-Control-Allow-Methods", "GET,POST,PUT,DELETE,OPTIONS"), ("Access-Control-Allow-Headers", "*, Authorization"),
        ("Access-Control-Max-Age", "43200"),
    ]  # fmt: skip
    start("204 No Content", [*headers, *allowed])
    return []


def chinese(environ: Environ) -> bool:
    return environ.get("HTTP_ACCEPT_LANGUAGE", "").lower().startswith("zh")


def refuse(environ: Environ, start: Start, headers: list[tuple[str, str]], refused: Refused, id: str) -> Iterable[bytes]:
    """Our no, in the client's dialect and language."""
    message = f"{refused.zh if chinese(environ) else refused.message} (request id: {id})"
    type = refused.type or dialect.error_type(refused.status)
    body = json.dumps(dialect.error(message, type, refused.code or None, refused.param), ensure_ascii=False).encode()
    more = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if refused.retry_after is not None:
        more.append(("Retry-After", str(max(1, round(refused.retry_after)))))
    more += refused.headers
    if refused.status == 401:
        more.append(("WWW-Authenticate", "Bearer"))
    start(f"{refused.status} {REASONS.get(refused.status, 'Error')}", [*headers, *more])
    return [body]
