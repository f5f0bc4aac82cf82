"""Predictions, by which Replicate runs models of every kind: how they are made, asked about and signed. No row lives here.

https://replicate.com/docs/reference/http
"""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from oneapi.vendors.contract import bearer, failure
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]

POLL_SECONDS = 1.0
# Codes at the end of a failed prediction's text. https://replicate.com/docs/reference/error-codes
CODES = {
    "E001": "server", "E002": "server", "E003": "overloaded", "E004": "overloaded", "E005": "content_filter",
    "E006": "bad_request", "E008": "timeout", "E009": "server", "E6716": "timeout",
    "E8765": "server", "E9243": "server", "E9825": "server",
}  # fmt: skip


def root(call: Call) -> str:
    """The API's address, however much of a path is typed behind it."""
    return call.base_url.removesuffix("/models").removesuffix("/v1")


def create(call: Call, given: Json) -> Request:
    """A prediction by an official model, a deployment or a pinned version."""
    more = call.body.get("input")  # whatever else a model takes
    out: Json = {"input": given | more if isinstance(more, dict) else given}
    model = call.model
    if model.startswith("deployments/"):
        path = f"/v1/{model}/predictions"
    elif ":" in model or "/" not in model:
        path, out["version"] = "/v1/predictions", model
    else:
        path = f"/v1/models/{model}/predictions"
    if call.streaming:
        return Request(root(call) + path, out | {"stream": True})
    return Request(root(call) + path, out, {"Prefer": "wait"})


def state(reply: Reply, call: Call) -> Json | Request:
    """A prediction that has succeeded, or the next question about it."""
    told = reply.json()
    match told["status"]:
        case "succeeded":
            return told
        case "starting" | "processing" | "queued":
            return Request(f"{root(call)}/v1/predictions/{told['id']}", method="GET", wait=POLL_SECONDS)
    raise broken(told.get("error") or f"The prediction ended as {told['status']}.")


def broken(text: Any) -> VendorError:
    text = text if isinstance(text, str) else json.dumps(text)
    code = next(iter(re.findall(r"\bE\d{3,4}\b", text)), "")
    kind = CODES.get(code) or ("content_filter" if "nsfw" in text.lower() else "server")
    return VendorError(kind, text, status=200, code=code)


def sign(request: Request, call: Call) -> Request:
    """The key goes to the channel's address and to the vendor's own, not to wherever an answer points."""
    host = urlsplit(request.url).hostname or ""
    trusted = host == urlsplit(call.base_url).hostname or host.endswith(".replicate.com")
    return bearer(request, call) if trusted else request


def fail(reply: Reply, call: Call) -> VendorError:
    """Problem documents: title and detail."""
    return failure(reply, call, {})
