"""A vendor's failure as the client reads it: in our dialect, without keys, hosts and organisation ids."""

import re
from typing import Any
from urllib.parse import urlsplit

from oneapi.dialects import openai as dialect
from oneapi.relay import policy
from oneapi.relay.refusal import Refused
from oneapi.state import Lane
from oneapi.wire import VendorError

_SECRETS = re.compile(r"\b(sk-|org-|proj_|key-)[\w*.-]{4,}|Bearer\s+\S+|\b[A-Za-z0-9_-]{32,}\b")
_SECRET_BYTES = re.compile(_SECRETS.pattern.encode(), re.ASCII)


def scrubbed(message: str, lane: Lane | None = None, key: str = "") -> str:
    """A vendor's text without keys, hosts and organisation ids."""
    if key and len(key) > 3:
        message = message.replace(key, "***")
    if lane is not None and (host := urlsplit(lane.base_url).hostname):
        message = message.replace(host, "the vendor")
    return _SECRETS.sub("***", message)[:2000]


def hidden(data: bytes) -> bytes:
    """Bytes of a stream without keys and organisation ids, as long as before: what frames them stays true."""
    return _SECRET_BYTES.sub(lambda found: b"*" * len(found[0]), data)


def broken(error: VendorError) -> dict[str, Any]:
    """What the client reads when a stream breaks in the middle: the vendor's own words, unless they are about our account."""
    ours = error.kind in ("auth", "quota")
    type, code = ("", "") if ours else (error.type, error.code)
    return dialect.error(scrubbed(error.message or error.kind), type or "server_error", code or "stream_broken")


SATURATED = "当前分组上游负载已饱和，请稍后再试"


def refusal(error: VendorError, lane: Lane, key: str) -> Refused:
    """What the client reads of a vendor's failure."""
    rule = policy.POLICIES[error.kind]
    status = error.status if error.kind == "bad_request" and error.status in (409, 415, 422) else rule.status
    if not rule.show:
        return Refused(status, policy.TEXTS[error.kind], rule.code)
    message = scrubbed(error.message, lane, key) or error.kind
    passed = error.kind in ("bad_request", "content_filter", "too_long", "no_model")
    code = (error.code if passed else "") or rule.code
    zh = SATURATED if error.kind == "rate_limited" else ""
    type = error.type if passed else ""
    return Refused(status, message, code, zh=zh, type=type, param=error.param if passed else None, retry_after=error.retry_after)
