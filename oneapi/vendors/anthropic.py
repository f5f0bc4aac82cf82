"""Anthropic: the Messages API at its own address, https://platform.claude.com/docs/en/api/messages"""

from typing import Any

from oneapi.vendors import betas, messages_protocol, openai
from oneapi.vendors.contract import ModelList, Protocol, Vendor, bearer
from oneapi.vendors.messages_request import body
from oneapi.wire import Call, Reply, Request

VERSION = "2023-06-01"  # the later one takes no temperature from any model; a client may ask for it
CLIENT_HEADERS = ("anthropic-version", "anthropic-beta")


def headers(call: Call) -> dict[str, str]:
    """The version, and whatever the client said about versions and betas."""
    return {"anthropic-version": VERSION} | {name: call.headers[name] for name in CLIENT_HEADERS if call.headers.get(name)}


def build(call: Call) -> Request:
    out: dict[str, Any] = {"model": call.model, **body(call)}
    if call.streaming:
        out["stream"] = True
    return Request(openai.address(call.base_url, "/v1/messages"), out, headers(call))


def models(call: Call) -> Request:
    after = f"&after_id={call.memo['after']}" if call.memo.get("after") else ""
    return Request(openai.address(call.base_url, "/v1/models") + "?limit=1000" + after, None, headers(call), "GET")


def names(reply: Reply, call: Call) -> list[str] | Request:
    page = reply.json()
    found = call.memo.setdefault("models", [])
    found += [model["id"] for model in page["data"]]
    if not page.get("has_more") or not page.get("last_id"):
        return list(found)
    call.memo["after"] = page["last_id"]
    return models(call)


def sign(request: Request, call: Call) -> Request:
    """A key; or, where Azure serves Claude, an Entra token, which is a JSON Web Token."""
    if call.key.startswith("eyJ"):
        return bearer(request, call)
    request.headers["x-api-key"] = call.key
    return request


def sign_compatible(request: Request, call: Call) -> Request:
    """The address that speaks OpenAI's protocol wants a key as OpenAI does, the list of models as Anthropic does."""
    return bearer(request, call) if request.method == "POST" else sign(request, call)


MODELS = ModelList(models, names)
VENDORS = (
    Vendor(
        14, "anthropic", "Anthropic", "https://api.anthropic.com",
        protocols={"chat": Protocol(build, messages_protocol.parse, messages_protocol.stream, fail=messages_protocol.fail)},
        sign=sign,
        client_headers={"anthropic-beta": betas.ANTHROPIC, "anthropic-version": ()},
        compatible=Vendor(
            14, "anthropic-compatible", "Anthropic (OpenAI)", "https://api.anthropic.com", {"chat": openai.OPENAI},
            sign=sign_compatible, model_list=MODELS, owned_by="anthropic",
            documents="https://platform.claude.com/docs/en/api/openai-sdk",
        ),
        model_list=MODELS,
        owned_by="anthropic",
        documents="https://platform.claude.com/docs/en/api/messages",
    ),
)  # fmt: skip
