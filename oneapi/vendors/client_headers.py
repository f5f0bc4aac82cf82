"""Client headers that travel to a provider: each row lists its own, with the values that it takes."""

import re
from collections.abc import Mapping
from functools import lru_cache

from oneapi.fields import names
from oneapi.vendors.contract import Vendor

Headers = Mapping[str, str]
Allowed = Mapping[str, tuple[str, ...]]

COMMON = frozenset(("Accept", "Idempotency-Key"))  # to every provider that takes headers; the key is ours by then
# Credentials, cookies, addresses, and what concerns a connection or the form of a body: no setting lets them travel.
NEVER = frozenset((
    "authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "host", "connection", "keep-alive", "te", "trailer",
    "transfer-encoding", "upgrade", "expect", "content-length", "content-type", "content-encoding", "accept-encoding", "accept",
    "idempotency-key", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
    "proxy-authorization", "proxy-authenticate", "proxy-connection",
))  # fmt: skip
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


@lru_cache(64)
def further(text: str) -> Allowed:
    """Return the headers of a list such as `x-trace-id, anthropic-beta=files-api`; a name without values allows any."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in names(text):
        name, _, value = entry.lower().partition("=")
        found[name] = (*found.get(name, ()), value) if value else ()
    return found


def complaint(text: str) -> str | None:
    """Return what is wrong with such a list; None if nothing is."""
    for entry in names(text):
        name, mark, value = entry.partition("=")
        if not _NAME.fullmatch(name) or (mark and not re.fullmatch(r"[!-~]+", value)):
            return f"{entry!r} is not a header; give names such as x-trace-id, or name=value for one value of a header."
        if name.lower() in NEVER:
            return f"{name!r} cannot be passed on: it holds a credential, an address, or the form of the request."
    return None


def travelling(vendor: Vendor, headers: Headers, more: Allowed) -> Headers:
    """Return the client's headers that a row takes; those themselves when nothing is left out.

    `more` comes from the settings: a name without values travels to every provider, values only where a row lists the header.
    """
    if headers.keys() <= COMMON:
        return headers
    kept = {}
    for name, value in headers.items():
        known, wider = vendor.client_headers.get(name), more.get(name)
        if name in COMMON or known == () or wider == ():
            kept[name] = value
        elif known is not None and (fit := _fitting(value, (*known, *(wider or ())))):
            kept[name] = fit
    return kept


def _fitting(value: str, allowed: tuple[str, ...]) -> str:
    """Return the values of a comma list that are allowed, by their whole name or without the date at its end."""
    items = [item.strip() for item in value.split(",")]
    return ", ".join(item for item in items if item in allowed or _DATE.sub("", item) in allowed)
