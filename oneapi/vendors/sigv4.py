"""AWS Signature Version 4 over a request's own bytes. Pure: the time comes from the caller.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key, and the session token that belongs to it when it is a temporary one."""

    access: str
    secret: str
    session: str = ""


def signed(
    method: str, url: str, headers: Mapping[str, str], body: bytes, keys: Keys, *, region: str, service: str, now: float
) -> dict[str, str]:
    """The headers with date, session token and Authorization; all of them are signed, so none may change afterwards."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    out = {**headers, "X-Amz-Date": stamp}
    if keys.session:
        out["X-Amz-Security-Token"] = keys.session
    lines = {name.lower(): " ".join(value.split()) for name, value in out.items()} | {"host": _host(url)}
    names = ";".join(sorted(lines))
    request = "\n".join([
        method, _path(url), _query(url), *(f"{name}:{lines[name]}" for name in sorted(lines)), "", names,
        hashlib.sha256(body).hexdigest(),
    ])  # fmt: skip
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for step in (stamp[:8], region, service, "aws4_request"):
        key = _hmac(key, step)
    out["Authorization"] = (
        f"{ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={_hmac(key, text).hex()}"
    )
    return out


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _host(url: str) -> str:
    """The host as clients send it: with the port only where it is not the scheme's own."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return host.removesuffix(":443") if parts.scheme == "https" else host.removesuffix(":80")


def _path(url: str) -> str:
    """The path of the wire encoded once more, as every service but S3 wants it: %3A becomes %253A."""
    return quote(urlsplit(url).path or "/", safe="/" + UNRESERVED)


def _query(url: str) -> str:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    encoded = sorted((quote(name, safe=UNRESERVED), quote(value, safe=UNRESERVED)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)
