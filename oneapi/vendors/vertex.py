"""Google's Vertex AI: Gemini, Claude, Imagen, embeddings and the models of others, each in its publisher's protocol.

https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from oneapi.fields import Field
from oneapi.vendors import (
    betas,
    gemini_media,
    gemini_protocol,
    gemini_request,
    google_auth,
    google_errors,
    messages_protocol,
    messages_request,
    openai,
    quirks,
)
from oneapi.vendors.contract import Exchange, ModelList, Protocol, Vendor
from oneapi.vendors.tagged import apart
from oneapi.vendors.vertex_place import KEY_PARTS, account, host, place
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

CLAUDE_VERSION = "vertex-2023-10-16"  # the later one takes no temperature from any model


def address(call: Call, publisher: str, action: str) -> str:
    return f"{place(call)}/publishers/{publisher}/models/{quote(call.model.rpartition('/')[2], safe='@')}:{action}"


def family(model: str) -> str:
    """Whose protocol a model speaks: google, anthropic, mistralai, or openapi (Vertex's own OpenAI-like address)."""
    publisher, slash, name = model.rpartition("/")
    if "claude" in name:
        return "anthropic"
    if publisher == "mistralai" or not slash and name.startswith(("mistral", "codestral", "ministral")):
        return "mistralai"
    return "openapi" if slash and publisher not in ("google", "publishers/google/models") else "google"


def build(call: Call) -> Request:
    match family(call.model):
        case "anthropic":
            return _claude(call)
        case "mistralai":
            body = openai.body_of(call) | {"model": call.model.rpartition("/")[2]}
            return Request(address(call, "mistralai", "streamRawPredict" if call.streaming else "rawPredict"), body)
        case "openapi":
            return LIKE_OPENAI.build(call)
    return Request(
        address(call, "google", "streamGenerateContent?alt=sse" if call.streaming else "generateContent"),
        gemini_request.body(call),
    )


def _claude(call: Call) -> Request:
    body = {"anthropic_version": CLAUDE_VERSION, **messages_request.body(call)} | ({"stream": True} if call.streaming else {})
    beta = {"anthropic-beta": call.headers["anthropic-beta"]} if call.headers.get("anthropic-beta") else {}
    return Request(address(call, "anthropic", "streamRawPredict" if call.streaming else "rawPredict"), body, beta)


def openapi(request: Request, call: Call) -> Request:
    """https://cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview"""
    return replace(request, url=f"{place(call)}/endpoints/openapi/chat/completions")


# As Google's other OpenAI-compatible address does it, and in the same words.
LIKE_OPENAI = quirks.adapted(
    quirks.reasoning_counted, apart("<thought>", "</thought>"), body=quirks.system_role, place=openapi, fail=google_errors.fail,
)


PARSE = {"anthropic": messages_protocol.parse, "google": gemini_protocol.parse}
STREAM = {"anthropic": messages_protocol.stream, "google": gemini_protocol.stream}


def parse(reply: Reply, call: Call) -> "Json | Reply | Request":
    return PARSE.get(family(call.model), openai.parse)(reply, call)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    return STREAM.get(family(call.model), openai.stream)(events, call)


def fail(reply: Reply, call: Call) -> VendorError:
    """Google's own errors come before a model is asked, so a Claude may fail in either form."""
    if family(call.model) == "anthropic" and b'"type"' in reply.body and b'"status"' not in reply.body:
        return messages_protocol.fail(reply, call)
    return google_errors.fail(reply, call)


def embed(call: Call) -> Request:
    """Gemini's embedding models know embedContent, the older ones only predict."""
    if "gemini" not in call.model:
        return Request(address(call, "google", "predict"), gemini_media.vertex_predict(call))
    body = gemini_media.vertex_batch(call)
    return Request(address(call, "google", "batchEmbedContents" if "requests" in body else "embedContent"), body)


def vectors(reply: Reply, call: Call) -> Json | Request:
    return gemini_media.vectors(reply, call) or embed(call)


def draw(call: Call) -> Request:
    if gemini_media.is_imagen(call.model):
        return Request(address(call, "google", "predict"), gemini_media.imagen(call))
    return Request(address(call, "google", "generateContent"), gemini_media.drawing(call))


def sign(request: Request, call: Call) -> Request:
    if call.secret:
        request.headers["Authorization"] = f"Bearer {call.secret}"
    else:
        request.headers["x-goog-api-key"] = account(call).api_key
    return request


def models(call: Call) -> Request:
    """Google's own models; those of other publishers have to be enabled one by one and cannot be listed together."""
    where = account(call)
    page = f"&pageToken={quote(call.memo['page'])}" if call.memo.get("page") else ""
    project = {"x-goog-user-project": where.project} if where.project else {}
    return Request(f"{host(call, where.region)}/v1beta1/publishers/google/models?pageSize=200{page}", None, project, "GET")


def names(reply: Reply, call: Call) -> list[str] | Request:
    answer = reply.json()
    found = call.memo.setdefault("models", [])
    found += [model["name"].rpartition("/")[2] for model in answer.get("publisherModels") or ()]
    call.memo["page"] = answer.get("nextPageToken")
    return models(call) if call.memo["page"] else list(found)


EXCHANGE = Exchange(
    lambda call: google_auth.exchange(dict(account(call).credential), call.now),
    google_auth.token,
    needed=lambda call: bool(account(call).credential),
)
FIELDS = (
    Field("region", str, "", "Region", "Such as us-east5; empty means global."),
    Field("vertex_ai_project_id", str, "", "Project", "The project's id; empty means the one in the credentials."),
    Field("vertex_ai_adc", str, "", "Credentials", "A service account's JSON key, or an API key.", secret=True, multiline=True),
)
MODELS = ModelList(models, names)
VENDORS = (
    Vendor(
        42, "vertex", "VertexAI",
        protocols={
            "chat": Protocol(build, parse, stream, fail=fail),
            "embeddings": Protocol(embed, vectors, fail=google_errors.fail),
            "images": Protocol(draw, gemini_media.pictures, fail=google_errors.fail),
            "image_edits": Protocol(draw, gemini_media.pictures, fail=google_errors.fail),
        },
        inline_images=True,
        client_headers={"anthropic-beta": betas.VERTEX},
        sign=sign,
        exchange=EXCHANGE,
        timed=True,
        fields=FIELDS,
        key_label="Region|ProjectID|service account JSON",
        key_parts=KEY_PARTS,
        compatible=Vendor(
            42, "vertex-compatible", "VertexAI (OpenAI)",
            protocols={"chat": LIKE_OPENAI}, inline_images=True,
            sign=sign, exchange=EXCHANGE, timed=True, fields=FIELDS, key_parts=KEY_PARTS, model_list=MODELS, owned_by="google",
            documents="https://cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview",
        ),
        model_list=MODELS,
        owned_by="google",
        documents="https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest",
    ),
)  # fmt: skip
