"""What a vendor is: a row (Vendor) and, per kind of call, three pure functions (Protocol)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from oneapi.fields import Field
from oneapi.wire import Call, Event, Reply, Request, VendorError

Build = Callable[[Call], Request]
# A dict is the OpenAI-shaped answer; a Reply travels to the client as it is (audio); a Request means: ask again.
Parse = Callable[[Reply, Call], "dict[str, Any] | Reply | Request"]
Stream = Callable[[Iterable[Event], Call], Iterator[dict[str, Any]]]
Fail = Callable[[Reply, Call], VendorError]
Sign = Callable[[Request, Call], Request]


def bearer(request: Request, call: Call) -> Request:
    request.headers["Authorization"] = f"Bearer {call.secret or call.key}"
    return request


# Status of a vendor's answer → kind of failure, where the body says nothing better.
STATUS_KINDS = {
    400: "bad_request", 401: "auth", 402: "quota", 403: "auth", 404: "no_model", 405: "bad_request", 408: "timeout",
    409: "server", 413: "too_long", 415: "bad_request", 422: "bad_request", 424: "server", 425: "overloaded",
    429: "rate_limited", 451: "content_filter", 498: "overloaded", 499: "server", 503: "overloaded", 504: "timeout",
    524: "timeout", 529: "overloaded",
}  # fmt: skip

# Codes and types that OpenAI and the vendors who imitate it put into `error.code` or `error.type`.
# https://platform.openai.com/docs/guides/error-codes
CODE_KINDS = {
    "invalid_api_key": "auth", "account_deactivated": "auth", "authentication_error": "auth", "permission_error": "auth",
    "insufficient_quota": "quota", "billing_hard_limit_reached": "quota", "billing_not_active": "quota",
    "rate_limit_exceeded": "rate_limited", "rate_limit_error": "rate_limited", "requests": "rate_limited",
    "tokens": "rate_limited",
    "context_length_exceeded": "too_long", "string_above_max_length": "too_long", "request_too_large": "too_long",
    "content_filter": "content_filter", "content_policy_violation": "content_filter", "moderation_blocked": "content_filter",
    "model_not_found": "no_model", "model_not_exist": "no_model", "DeploymentNotFound": "no_model",
    "overloaded_error": "overloaded", "server_overloaded": "overloaded", "engine_overloaded_error": "overloaded",
}  # fmt: skip


def status_kind(status: int) -> str:
    """The kind of failure an HTTP status stands for."""
    return STATUS_KINDS.get(status) or ("server" if status >= 500 else "bad_request")


def retry_after(reply: Reply) -> float | None:
    """Seconds the vendor asked us to wait; None when it did not say, or said it as a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(reply.headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < 86400 * 7:
            return seconds
    return None


def failure(reply: Reply, call: Call, codes: Mapping[str, str] = CODE_KINDS) -> VendorError:
    """The VendorError in an answer whose status says failure; `codes` maps the vendor's own codes to kinds."""
    try:
        body = reply.json()
    except ValueError:
        body = None
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0]  # Google wraps some errors in a list
    body = body if isinstance(body, dict) else {"message": body} if isinstance(body, str) else {}
    error = body.get("error")
    error = error if isinstance(error, dict) else {"message": error} if isinstance(error, str) else body
    message = next(
        (error[k] for k in ("message", "msg", "error_msg", "detail", "err", "code_msg") if isinstance(error.get(k), str)), ""
    )
    code, type_, param = error.get("code"), error.get("type"), error.get("param")
    named = (code, type_, error.get("status"), error.get("reason"))
    kind = next((codes[str(name)] for name in named if str(name) in codes), None)
    kind = kind or status_kind(reply.status)
    if kind == "bad_request" and "maximum context length" in message:  # vLLM and its like have no code for it
        kind = "too_long"
    return VendorError(
        kind,
        message or f"bad response status code {reply.status}",
        status=reply.status,
        code="" if code is None else str(code),
        type=type_ if isinstance(type_, str) else "",
        param=param if isinstance(param, str) else None,
        retry_after=retry_after(reply),
    )


@dataclass(frozen=True, slots=True)
class Protocol:
    """Three pure functions. `native` says that requests and answers are OpenAI's own bytes and may pass untouched.

    `exact` says that the provider is OpenAI itself, whose streams need no look for corrections.
    """

    build: Build
    parse: Parse
    stream: Stream | None = None
    framing: str = "sse"  # a name of relay.framing.PARSERS
    native: bool = False
    exact: bool = False
    fail: Fail = failure


@dataclass(frozen=True, slots=True)
class Exchange:
    """How a key is turned into a short-lived token. `parse` returns the token and its lifetime in seconds."""

    build: Build
    parse: Callable[[Reply, Call], tuple[str, float]]
    needed: Callable[[Call], bool] | None = None  # for vendors some of whose keys need no exchange; None means always


@dataclass(frozen=True, slots=True)
class Balance:
    """How much is left on a channel's account. `parse` returns amount and currency (ISO code), or asks again."""

    build: Build
    parse: Callable[[Reply, Call], "tuple[float, str] | Request"]


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models a channel's key can really use. `parse` returns names, or asks for the next page."""

    build: Build
    parse: Callable[[Reply, Call], "list[str] | Request"]


@dataclass(frozen=True)
class Vendor:
    """One channel type. Ids are part of the API and the database: never reuse one."""

    id: int
    slug: str
    name: str
    base_url: str = ""
    protocols: Mapping[str, Protocol] = field(default_factory=dict)  # kind of call → protocol; filled with OpenAI's when empty
    paths: Mapping[str, str] = field(default_factory=dict)  # kind → path; "{model}" is filled in; overrides the client's path
    strip_v1: bool = False  # the base URL already ends where OpenAI's SDK expects it to: drop the client's /v1
    headers: Mapping[str, str] = field(default_factory=dict)
    client_headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # that travel on → allowed values; (): any
    rename: Mapping[str, str] = field(default_factory=dict)  # parameter → the vendor's name for it
    drop: tuple[str, ...] = ()  # parameters the vendor refuses
    refuses_usage: bool = False  # does not know stream_options.include_usage
    inline_images: bool = False  # wants bytes: the engine turns image URLs into data URLs first
    sign: Sign = bearer
    exchange: Exchange | None = None
    timed: bool = False  # what it signs or exchanges holds the time: a wrong clock is refused like a wrong key
    fields: tuple[Field, ...] = ()  # further questions of the channel form, stored in the channel's config
    key_label: str = "API key"
    key_parts: tuple[str, ...] = ()  # config names of a composite key typed as one string, e.g. ("ak", "sk", "region")
    key_split: str = "|"
    compatible: "Vendor | None" = None  # the row that speaks OpenAI's protocol at the same vendor
    prefer_compatible: bool = False  # default of the channel's config "protocol"
    balance: Balance | None = None
    model_list: ModelList | None = None
    owned_by: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)  # config name → the setting of the environment it falls back to
    needs_base_url: bool = False
    # What operators run themselves: "models" (the models run there, so no provider's price applies), "service" (a server in
    # front of models), "private" (a service where its address is private). Models without a price cost nothing there.
    self_hosted: str = ""
    offers: tuple[str, ...] = ()  # kinds of call its reference describes, where more pass through untried; empty: all of them
    voice: str = "alloy"  # one that the vendor's speech has, for tests; "{model}" is filled in
    documents: str = ""  # the vendor's own reference


def serving(vendor: Vendor, config: Mapping[str, Any], key: str = "") -> Vendor:
    """The row that answers for a channel: the vendor's own, or its OpenAI-compatible one when the channel chose that.

    Where it chose nothing, a composite key, in one string or in fields, or an option that only the native protocol knows
    says native.
    """
    if vendor.compatible is None:
        return vendor
    parts = bool(vendor.key_parts) and (vendor.key_split in key or any(config.get(name) for name in vendor.key_parts))
    native = not vendor.prefer_compatible or parts or bool(config.get("plugin"))
    chosen = config.get("protocol") or ("native" if native else "openai")
    return vendor.compatible if chosen == "openai" else vendor


def key_fields(vendor: Vendor, key: str, config: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a composite key by config name: separate config fields win over the one-string form."""
    typed = key.split(vendor.key_split, len(vendor.key_parts) - 1) if key and vendor.key_parts else []
    parts = dict(zip(vendor.key_parts, (part.strip() for part in typed), strict=False))
    return parts | {name: str(config[name]) for name in vendor.key_parts if config.get(name)}
