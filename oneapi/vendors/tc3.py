"""Tencent Cloud's signature, TC3-HMAC-SHA256. https://cloud.tencent.com/document/api/1729/101843"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlsplit

from oneapi.wire import Request

SIGNED = ("content-type", "host", "x-tc-action")


def signed(request: Request, secret_id: str, secret_key: str, service: str, now: float) -> Request:
    """The request with its body as the very bytes that are signed, and with the exact content type that is signed."""
    body = request.body
    data = body if isinstance(body, bytes) else json.dumps(body or {}, ensure_ascii=False, separators=(",", ":")).encode()
    host = urlsplit(request.url).netloc
    headers = {**request.headers, "Content-Type": "application/json", "X-TC-Timestamp": str(int(now))}
    said = authorization(headers | {"Host": host}, data, secret_id, secret_key, service, int(now))
    return replace(request, body=data, headers=headers | {"Authorization": said})


def authorization(
    headers: Mapping[str, str], body: bytes, secret_id: str, secret_key: str, service: str, now: int,
    names: tuple[str, ...] = SIGNED,
) -> str:  # fmt: skip
    """The value of Authorization for a POST to "/" whose headers of these names, in this order, are signed."""
    lower = {name.lower(): value.strip().lower() for name, value in headers.items()}
    lines = "".join(f"{name}:{lower[name]}\n" for name in names)
    canonical = f"POST\n/\n\n{lines}\n{';'.join(names)}\n{sha256(body).hexdigest()}"
    date = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
    scope = f"{date}/{service}/tc3_request"
    text = f"TC3-HMAC-SHA256\n{now}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{secret_key}".encode()
    for part in (date, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
